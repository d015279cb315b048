"""The passwords of the caches are generated once: no deploy of another version generates them anew."""

from __future__ import annotations

import json
import string

import pytest
from taskfleet.contract import names

from infra.settings import Settings
from tests.infra.synthesis import Synthesis, of_type
from tests.infra.variants import EXISTING
from tests.support import reference as environments

# What deployed environments have. CloudFormation writes another password into the secret when anything of
# this changes (aws-cloudformation/cloudformation-coverage-roadmap, issue 2210), which the replication group
# is not given; and a secret of another logical id can't be made beside the one that has the name.
GENERATED = {
    "SecretStringTemplate": json.dumps({"username": "default"}),
    "GenerateStringKey": "password",
    "PasswordLength": 64,
    "ExcludeCharacters": string.punctuation,
    "IncludeSpace": False,
}
SECRETS = [
    (environments.PROD, "broker", "SecretA720EF05", "taskfleet/prod/broker"),
    (EXISTING, "broker", "SecretA720EF05", "taskfleet/existing/broker"),
    (EXISTING, "fleet", "ResultsCacheSecret3CBFDBB2", "taskfleet/existing/results"),
]


@pytest.mark.parametrize(("settings", "part", "id", "name"), SECRETS, ids=[one[3] for one in SECRETS])
def test_a_secret_stays_as_it_is_deployed(
    blueprint: Synthesis, variants: Synthesis, settings: Settings, part: str, id: str, name: str
) -> None:
    template = (variants if settings is EXISTING else blueprint).of(settings.name, part)
    ((found, secret),) = of_type(template, "AWS::SecretsManager::Secret").items()

    assert (found, secret["Name"]) == (id, name)
    assert secret["GenerateSecretString"] == GENERATED


@pytest.mark.parametrize("part", ["broker", "fleet"])
def test_a_group_names_its_secret_and_no_version_of_it(variants: Synthesis, part: str) -> None:
    """So its template stays the same when a rotation moves a label, and CloudFormation sees no change."""
    template = variants.of(EXISTING.name, part)
    (group,) = of_type(template, "AWS::ElastiCache::ReplicationGroup").values()
    (secret,) = of_type(template, "AWS::SecretsManager::Secret")

    assert group["AuthToken"] == {
        "Fn::Join": ["", ["{{resolve:secretsmanager:", {"Ref": secret}, ":SecretString:password::}}"]]
    }
    assert names.PROJECT not in json.dumps(group["AuthToken"])
