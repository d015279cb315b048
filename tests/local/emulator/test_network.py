"""The parts of a VPC that MiniStack lacks, through CloudFormation and back over EC2's API."""

from __future__ import annotations

from tests.local.emulator.account import Account

VPC = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
    "Subnet": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.7.0.0/24", "AvailabilityZone": "us-east-1a"},
    },
    "Eip": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
    "Nat": {
        "Type": "AWS::EC2::NatGateway",
        "Properties": {
            "SubnetId": {"Ref": "Subnet"},
            "AllocationId": {"Fn::GetAtt": ["Eip", "AllocationId"]},
        },
    },
    "Workers": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "w", "VpcId": {"Ref": "Vpc"}},
    },
    "Broker": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "b", "VpcId": {"Ref": "Vpc"}},
    },
    "In": {
        "Type": "AWS::EC2::SecurityGroupIngress",
        "Properties": {
            "GroupId": {"Fn::GetAtt": ["Broker", "GroupId"]},
            "IpProtocol": "tcp",
            "FromPort": 6379,
            "ToPort": 6379,
            "SourceSecurityGroupId": {"Fn::GetAtt": ["Workers", "GroupId"]},
        },
    },
    "Out": {
        "Type": "AWS::EC2::SecurityGroupEgress",
        "Properties": {
            "GroupId": {"Fn::GetAtt": ["Workers", "GroupId"]},
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "CidrIp": "0.0.0.0/0",
        },
    },
    "Flow": {
        "Type": "AWS::EC2::FlowLog",
        "Properties": {
            "ResourceId": {"Ref": "Vpc"},
            "ResourceType": "VPC",
            "TrafficType": "REJECT",
            "LogGroupName": "flows",
        },
    },
}


def test_a_vpc_with_all_its_parts_comes_and_goes(account: Account) -> None:
    ec2 = account.client("ec2")
    outputs = account.deploy(
        "net",
        VPC,
        {
            "Cidr": {"Fn::GetAtt": ["Vpc", "CidrBlock"]},
            "Nat": {"Ref": "Nat"},
            "Broker": {"Ref": "Broker"},
            "Workers": {"Ref": "Workers"},
            "Flow": {"Ref": "Flow"},
        },
    )
    assert outputs["Cidr"] == "10.7.0.0/16"
    gateway = ec2.describe_nat_gateways(NatGatewayIds=[outputs["Nat"]])["NatGateways"][0]
    assert gateway["State"] == "available"
    groups = {g["GroupId"]: g for g in ec2.describe_security_groups()["SecurityGroups"]}
    rule = groups[outputs["Broker"]]["IpPermissions"][0]
    assert (rule["FromPort"], rule["UserIdGroupPairs"][0]["GroupId"]) == (6379, outputs["Workers"])
    assert 443 in [r.get("FromPort") for r in groups[outputs["Workers"]]["IpPermissionsEgress"]]
    flow = ec2.describe_flow_logs(FlowLogIds=[outputs["Flow"]])["FlowLogs"][0]
    assert (flow["TrafficType"], flow["FlowLogStatus"]) == ("REJECT", "ACTIVE")

    account.delete("net")
    assert not ec2.describe_flow_logs(FlowLogIds=[outputs["Flow"]])["FlowLogs"]
    assert not ec2.describe_nat_gateways(NatGatewayIds=[outputs["Nat"]])["NatGateways"]


def test_a_changed_rule_replaces_the_old_one(account: Account) -> None:
    account.deploy("rules", VPC, {"Broker": {"Ref": "Broker"}})
    changed = {
        **VPC,
        "In": {**VPC["In"], "Properties": {**VPC["In"]["Properties"], "FromPort": 6380, "ToPort": 6380}},
    }
    outputs = account.deploy("rules", changed, {"Broker": {"Ref": "Broker"}})
    group = account.client("ec2").describe_security_groups(GroupIds=[outputs["Broker"]])["SecurityGroups"][0]
    assert [r["FromPort"] for r in group["IpPermissions"]] == [6380]
    account.delete("rules")
