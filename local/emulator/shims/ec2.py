"""EC2: the parts of a VPC that MiniStack's CloudFormation does not know."""

from __future__ import annotations

import secrets
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from local.emulator.shims import table
from local.emulator.shims.table import Made, Properties


def _identifier(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


def _keep_tags(physical_id: str, properties: Properties) -> None:
    provisioners._ec2_apply_tags(physical_id, properties)


def _eip_create(logical_id: str, properties: Properties, stack_name: str) -> Made:
    allocation = _identifier("eipalloc")
    address = f"203.0.113.{secrets.randbelow(254) + 1}"  # TEST-NET-3: nobody's
    ec2._addresses[allocation] = {
        "AllocationId": allocation,
        "PublicIp": address,
        "Domain": properties.get("Domain", "vpc"),
        **dict.fromkeys(("AssociationId", "InstanceId", "NetworkInterfaceId", "PrivateIpAddress")),
    }
    _keep_tags(allocation, properties)
    return address, {"AllocationId": allocation, "PublicIp": address}


def _eip_update(address: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
    allocation = next(key for key, record in ec2._addresses.items() if record["PublicIp"] == address)
    _keep_tags(allocation, new)
    return address, {"AllocationId": allocation, "PublicIp": address}


def _eip_delete(address: str, properties: Properties) -> None:
    for allocation in [key for key, record in ec2._addresses.items() if record["PublicIp"] == address]:
        del ec2._addresses[allocation]


def _nat_create(logical_id: str, properties: Properties, stack_name: str) -> Made:
    gateway = _identifier("nat")
    subnet = ec2._subnets.get(properties["SubnetId"])
    if subnet is None:
        raise ValueError(f"The subnet {properties['SubnetId']} does not exist")
    ec2._nat_gateways[gateway] = {
        "NatGatewayId": gateway,
        "SubnetId": properties["SubnetId"],
        "VpcId": subnet["VpcId"],
        "AllocationId": properties.get("AllocationId", ""),
        "ConnectivityType": properties.get("ConnectivityType", "public"),
        "State": "available",
        "CreateTime": ec2._now_ts(),
        "Tags": properties.get("Tags", []),
    }
    _keep_tags(gateway, properties)
    return gateway, {"NatGatewayId": gateway}


def _nat_update(gateway: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
    _keep_tags(gateway, new)
    return gateway, {"NatGatewayId": gateway}


def _nat_delete(gateway: str, properties: Properties) -> None:
    ec2._nat_gateways.pop(gateway, None)


def _rules(direction: str, properties: Properties) -> tuple[list[Any], list[Any]]:
    """The group's list of rules, and this rule in its form."""
    group = ec2._security_groups.get(properties["GroupId"])
    if group is None:
        raise ValueError(f"The security group {properties['GroupId']} does not exist")
    return group.setdefault(direction, []), provisioners._ec2_sg_permissions([properties])


def _rule_handlers(direction: str) -> dict[str, Any]:
    def create(logical_id: str, properties: Properties, stack_name: str) -> Made:
        rules, rule = _rules(direction, properties)
        rules.extend(rule)
        identifier = _identifier("sgr")
        return identifier, {"Id": identifier}

    def delete(identifier: str, properties: Properties) -> None:
        if properties["GroupId"] in ec2._security_groups:
            rules, rule = _rules(direction, properties)
            rules[:] = [kept for kept in rules if kept not in rule]

    def update(identifier: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Made:
        delete(identifier, old)
        return create(logical_id, new, stack_name)

    return {"create": create, "update": update, "delete": delete}


def _flow_log_create(logical_id: str, properties: Properties, stack_name: str) -> Made:
    identifier = _identifier("fl")
    ec2._flow_logs[identifier] = {
        "FlowLogId": identifier,
        "ResourceId": properties["ResourceId"],
        "ResourceType": properties["ResourceType"],
        "TrafficType": properties.get("TrafficType", "ALL"),
        "LogDestinationType": properties.get("LogDestinationType", "cloud-watch-logs"),
        "LogDestination": properties.get("LogDestination") or properties.get("LogGroupName", ""),
        "FlowLogStatus": "ACTIVE",
        "CreationTime": ec2._now_ts(),
    }
    _keep_tags(identifier, properties)
    return identifier, {"Id": identifier}


def _flow_log_update(
    identifier: str, old: Properties, new: Properties, stack_name: str, logical_id: str
) -> Made:
    _keep_tags(identifier, new)
    return identifier, {"Id": identifier}


def _flow_log_delete(identifier: str, properties: Properties) -> None:
    ec2._flow_logs.pop(identifier, None)


def _add_vpc_attributes() -> None:
    """``Fn::GetAtt Vpc.CidrBlock``, and the default group under the name that templates use."""
    create, update = table.handler("AWS::EC2::VPC", "create"), table.handler("AWS::EC2::VPC", "update")
    delete = table.handler("AWS::EC2::VPC", "delete")

    def complete(made: Made) -> Made:
        vpc_id, attributes = made
        vpc = ec2._vpcs[vpc_id]
        arn = f"arn:aws:ec2:us-east-1:{get_account_id()}:vpc/{vpc_id}"
        return vpc_id, {**attributes, "CidrBlock": vpc["CidrBlock"], "CidrBlockAssociations": [], "Arn": arn}

    table.add(
        "AWS::EC2::VPC",
        create=lambda *given: complete(create(*given)),
        update=lambda *given: complete(update(*given)),
        delete=delete,
    )


def register() -> None:
    """Add the types, and the attributes that were missing."""
    table.add(
        "AWS::EC2::EIP", create=_eip_create, update=_eip_update, delete=_eip_delete, replaced_by=("Domain",)
    )
    table.add(
        "AWS::EC2::NatGateway",
        create=_nat_create,
        update=_nat_update,
        delete=_nat_delete,
        replaced_by=("SubnetId", "AllocationId", "ConnectivityType"),
    )
    table.add("AWS::EC2::SecurityGroupIngress", **_rule_handlers("IpPermissions"))
    table.add("AWS::EC2::SecurityGroupEgress", **_rule_handlers("IpPermissionsEgress"))
    table.add(
        "AWS::EC2::FlowLog",
        create=_flow_log_create,
        update=_flow_log_update,
        delete=_flow_log_delete,
        replaced_by=("ResourceId", "ResourceType", "TrafficType", "LogDestination", "LogGroupName"),
    )
    _add_vpc_attributes()
