"""The broker's secret and the replication group that uses it, as the broker stack makes them."""

from __future__ import annotations

import json
import string

import pytest

from tests.local.emulator.account import BROKER_PORT, Account

SECRET = {
    "Type": "AWS::SecretsManager::Secret",
    "Properties": {
        "Name": "fleet/broker",
        "GenerateSecretString": {
            "SecretStringTemplate": '{"username":"default"}',
            "GenerateStringKey": "password",
            "PasswordLength": 48,
            "ExcludePunctuation": True,
            "ExcludeCharacters": "abcXYZ019",
        },
    },
}


def test_ref_of_a_secret_is_its_arn_and_its_password_keeps_to_the_exclusions(account: Account) -> None:
    arn = account.deploy("secret", {"Secret": SECRET}, {"Arn": {"Ref": "Secret"}})["Arn"]
    assert arn.startswith("arn:aws:secretsmanager:us-east-1:000000000000:secret:fleet/broker-")
    secrets = account.client("secretsmanager")
    content = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert content["username"] == "default"
    assert len(content["password"]) == 48
    assert not set(content["password"]) & set(string.punctuation + "abcXYZ019")
    account.delete("secret")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        secrets.get_secret_value(SecretId=arn)


def test_an_update_elsewhere_in_the_stack_keeps_the_password(account: Account) -> None:
    topic = {"Type": "AWS::SNS::Topic"}
    arn = account.deploy("kept", {"Secret": SECRET}, {"Arn": {"Ref": "Secret"}})["Arn"]
    secrets = account.client("secretsmanager")
    before = secrets.get_secret_value(SecretId=arn)["SecretString"]
    described = {**SECRET, "Properties": {**SECRET["Properties"], "Description": "of the broker"}}
    again = account.deploy("kept", {"Secret": described, "Topic": topic}, {"Arn": {"Ref": "Secret"}})["Arn"]
    assert again == arn
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == before
    account.delete("kept")


def test_a_replication_group_answers_at_the_front_and_takes_the_secret_by_reference(account: Account) -> None:
    group = {
        "Type": "AWS::ElastiCache::ReplicationGroup",
        "Properties": {
            "ReplicationGroupId": "fleet",
            "ReplicationGroupDescription": "broker",
            "Engine": "valkey",
            "CacheNodeType": "cache.t4g.small",
            "NumCacheClusters": 1,
            "TransitEncryptionEnabled": True,
            "AuthToken": {
                "Fn::Join": [
                    "",
                    ["{{resolve:secretsmanager:", {"Ref": "Secret"}, ":SecretString:password::}}"],
                ]
            },
        },
    }
    outputs = account.deploy(
        "broker",
        {"Secret": SECRET, "Group": group},
        {
            "Host": {"Fn::GetAtt": ["Group", "PrimaryEndPoint.Address"]},
            "Port": {"Fn::GetAtt": ["Group", "PrimaryEndPoint.Port"]},
        },
    )
    assert outputs == {"Host": "localhost", "Port": str(BROKER_PORT)}
    found = account.client("elasticache").describe_replication_groups(ReplicationGroupId="fleet")
    assert found["ReplicationGroups"][0]["AuthTokenEnabled"] is True
    account.delete("broker")


def test_a_document_is_kept_as_it_was_written(account: Account) -> None:
    content = {"schemaVersion": "0.3", "mainSteps": []}
    document = {
        "Type": "AWS::SSM::Document",
        "Properties": {"Name": "park", "DocumentType": "Automation", "Content": content},
    }
    account.deploy("document", {"Document": document})
    found = account.client("ssm").get_document(Name="park")
    assert json.loads(found["Content"]) == content
    account.delete("document")
    with pytest.raises(account.client("ssm").exceptions.InvalidDocument):
        account.client("ssm").get_document(Name="park")
