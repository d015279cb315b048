"""Is the network as the settings say: a VPC that exists with what the fleet stands on, or room for one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from taskfleet.contract import names

from infra.needs import Need
from infra.preflight import vpc
from infra.preflight.account import unknown
from infra.preflight.finding import Finding, State
from infra.preflight.vpc import Endpoint, Seen, Subnet, Vpc
from infra.rules.endpoints import GATEWAYS, interfaces
from infra.settings import Egress, ExistingVpc, Settings


def fits(settings: Settings, session: boto3.Session, addresses: Need) -> Iterator[Finding]:
    """Ask AWS, and judge. ``addresses`` are those that are taken in each subnet."""
    try:
        seen = vpc.look(settings, session.client("ec2"))
    except (BotoCoreError, ClientError) as error:
        yield unknown("network", error)
        return
    yield from judge(settings, seen, addresses)


def judge(settings: Settings, seen: Seen, addresses: Need) -> Iterator[Finding]:
    """A finding for each thing that a deploy stands on; of what is well one line. Pure."""
    existing = settings.network.existing
    if existing is None:
        yield _of_its_own(settings, seen)
    elif seen.vpc is None:
        yield _missing(
            "VPC",
            f"there is no {existing.id} in {settings.region}",
            f"network.existing.id: one of {', '.join(sorted(seen.others)) or '(none)'}, or another profile",
        )
        return
    else:
        yield _vpc(seen.vpc)
        chosen = _chosen(settings, existing, seen.vpc)
        yield from _subnets(settings, existing, seen.vpc, chosen, addresses)
        yield from _ways_out(settings, existing, chosen)
        yield from _endpoints(settings, existing, seen.vpc, chosen)
    yield from _groups(settings, seen)


def _missing(what: str, found: str, then: str, *run: str) -> Finding:
    return Finding(what=what, state=State.MISSING, found=found, then=then, run=run)


def _of_its_own(settings: Settings, seen: Seen) -> Finding:
    block = ipaddress.ip_network(str(settings.network.block))
    overlapping = sorted(
        f"{id} ({other})"
        for id, blocks in seen.others.items()
        for other in blocks
        if block.overlaps(ipaddress.ip_network(other))
    )
    if overlapping:
        return Finding(
            what="VPC",
            state=State.LOOK,
            found=f"its addresses {block} are those of {', '.join(overlapping)} too",
            then="they can't be peered: set network.cidr, before the first deploy (it makes a new VPC)",
        )
    return Finding(
        what="VPC", state=State.OK, found=f"one of its own, {block}, that can be peered with all others"
    )


def _vpc(found: Vpc) -> Finding:
    off = [
        name for name, on in (("support", found.dns_support), ("hostnames", found.dns_hostnames)) if not on
    ]
    if off:
        return _missing(
            "VPC",
            f"{found.id} has {' and '.join(f'DNS {one}' for one in off)} off: endpoints have no names in it",
            "turn it on:",
            *(f"aws ec2 modify-vpc-attribute --vpc-id {found.id} --enable-dns-{one}" for one in off),
        )
    return Finding(what="VPC", state=State.OK, found=f"{found.id}, {', '.join(found.blocks)}")


def _chosen(settings: Settings, existing: ExistingVpc, found: Vpc) -> list[Subnet]:
    """The subnets that the settings mean, as far as there are such."""
    if existing.subnet_tag is None:
        by_id = {one.id: one for one in found.subnets}
        return [by_id[id] for id in existing.subnet_ids if id in by_id]
    key, _, value = existing.subnet_tag.partition("=")
    zones = settings.network.availability_zones
    return [one for one in found.subnets if one.tags.get(key) == value and one.zone in zones]


def _subnets(
    settings: Settings, existing: ExistingVpc, found: Vpc, chosen: Sequence[Subnet], addresses: Need
) -> Iterator[Finding]:
    zones = settings.network.availability_zones
    if lost := sorted(set(existing.subnet_ids) - {one.id for one in chosen}):
        there = ", ".join(f"{one.id} in {one.zone}" for one in found.subnets) or "none"
        yield _missing(
            "subnets", f"{found.id} has no {', '.join(lost)}", f"network.existing.subnet_ids: of {there}"
        )
        return
    have = [one.zone for one in chosen]
    if existing.subnet_tag is None and have != list(zones):
        yield _missing(
            "subnets",
            f"they are in {', '.join(have)}, and the zones of the settings are {', '.join(zones)}",
            "network.existing.subnet_ids: one for each of network.availability_zones, in their order",
        )
        return
    if sorted(have) != sorted(zones):
        yield _missing(
            "subnets",
            f"with the tag {existing.subnet_tag} {found.id} has one in {', '.join(have) or 'no zone'}; one "
            f"in each of {', '.join(zones)} is needed",
            "tag them so, name the zones that have one, or give network.existing.subnet_ids",
        )
        return
    yield _room(chosen, addresses)


def _room(chosen: Sequence[Subnet], addresses: Need) -> Finding:
    """Whether each subnet has the addresses; those that the environment has taken already are its."""
    tight = [one for one in chosen if one.free + one.own < addresses.most]
    if not tight:
        return Finding(what="subnets", state=State.OK, found=", ".join(f"{s.id} in {s.zone}" for s in chosen))
    least = min(one.free + one.own for one in tight)
    return Finding(
        what="subnets",
        state=State.MISSING if least < addresses.gate else State.LOOK,
        found=", ".join(f"{one.id} has room for {one.free + one.own} addresses" for one in tight),
        then=f"{addresses}: name larger subnets, or lower max_workers",
    )


def _ways_out(settings: Settings, existing: ExistingVpc, chosen: Sequence[Subnet]) -> Iterator[Finding]:
    closed = settings.network.egress is Egress.ENDPOINTS
    for subnet, table in zip(chosen, existing.route_table_ids, strict=False):
        if subnet.table != table:
            yield Finding(
                what="route tables",
                state=State.MISSING if closed else State.LOOK,
                found=f"that of {subnet.id} is {subnet.table}, not {table}",
                then="network.existing.route_table_ids: gateway endpoints are added to these",
            )
    if closed:
        return
    stuck = [one for one in chosen if one.out is None]
    public = [one for one in chosen if (one.out or "").startswith("igw-")]
    if stuck:
        yield _missing(
            "way out",
            f"{', '.join(one.id for one in stuck)}: no route to the internet",
            "add a default route (a NAT gateway, a transit gateway), or set egress=Egress.ENDPOINTS",
        )
    elif public:
        yield _missing(
            "way out",
            f"{', '.join(one.id for one in public)}: straight to an internet gateway, and tasks have no "
            "public address",
            "name private subnets, whose default route is a NAT gateway",
        )
    elif chosen:
        yield Finding(what="way out", state=State.OK, found=", ".join(sorted({str(s.out) for s in chosen})))


def _endpoints(
    settings: Settings, existing: ExistingVpc, found: Vpc, chosen: Sequence[Subnet]
) -> Iterator[Finding]:
    there = {one.service: one for one in found.endpoints}
    problems = [
        *_named(settings, existing, there, chosen),
        *_made_twice(settings, existing, there, chosen),
    ]
    yield from problems
    if not problems:
        yield Finding(
            what="endpoints",
            state=State.OK,
            found=f"{', '.join(existing.endpoints)}: as the settings say"
            if existing.endpoints
            else "none named",
        )


def _named(
    settings: Settings, existing: ExistingVpc, there: dict[str, Endpoint], chosen: Sequence[Subnet]
) -> Iterator[Finding]:
    """Those that the settings count on."""
    for service in existing.endpoints:
        what, one = f"endpoint {service}", there.get(service)
        if one is None or not one.available:
            yield _missing(
                what,
                "the VPC has none" if one is None else f"{one.id} is not available",
                "drop it from network.existing.endpoints, and a deploy makes it, or let its owner make it",
            )
        elif one.own:
            yield _missing(
                what,
                f"{one.id} is of the stack {names.stack(settings.name, 'network')}, which deletes it in its "
                "next deploy if it is named",
                "drop it from network.existing.endpoints: they are those of somebody else",
            )
        elif service in GATEWAYS.values():
            lost = [subnet.id for subnet in chosen if subnet.table not in one.tables]
            if lost:
                yield Finding(
                    what=what,
                    state=_grave(settings),
                    found=f"{one.id} is in no route table of {', '.join(lost)}",
                    then="let its owner add it to those tables",
                )
        elif not one.private_dns:
            yield Finding(
                what=what,
                state=_grave(settings),
                found=f"{one.id} has no private DNS: containers ask for AWS's own names",
                then="turn it on:",
                run=(f"aws ec2 modify-vpc-endpoint --vpc-endpoint-id {one.id} --private-dns-enabled",),
            )
        elif not all(_admitted(one, subnet) for subnet in chosen):
            yield Finding(
                what=what,
                state=State.LOOK,
                found=f"no security group of {one.id} admits the subnets on port 443",
                then="admit their ranges, or WorkerSecurityGroupId when the network's stack is made",
            )


def _grave(settings: Settings) -> State:
    """Without a way to the internet there is no other way to the service."""
    return State.MISSING if settings.network.egress is Egress.ENDPOINTS else State.LOOK


def _admitted(endpoint: Endpoint, subnet: Subnet) -> bool:
    """By a range that holds the subnet; whom another group means is not known here."""
    block = ipaddress.IPv4Network(subnet.block)
    return any(
        group.groups or any(block.subnet_of(ipaddress.IPv4Network(range)) for range in group.ranges)
        for group in endpoint.groups
    )


def _made_twice(
    settings: Settings, existing: ExistingVpc, there: dict[str, Endpoint], chosen: Sequence[Subnet]
) -> Iterator[Finding]:
    """Those that exist, and that a deploy would make a second time. Its own are made once."""
    there = {service: one for service, one in there.items() if not one.own}
    made: set[str] = set()
    if existing.knows_route_tables:
        tables = {subnet.table for subnet in chosen}
        made |= {s for s in GATEWAYS.values() if s in there and tables & set(there[s].tables)}
    if settings.network.egress is Egress.ENDPOINTS:
        made |= {s for s in interfaces(settings).values() if s in there and there[s].private_dns}
    if twice := sorted(made - set(existing.endpoints)):
        yield _missing(
            "endpoints",
            f"the VPC has {', '.join(twice)} already, and the settings don't name them",
            "add them to network.existing.endpoints: a second one can't be made",
        )


def _groups(settings: Settings, seen: Seen) -> Iterator[Finding]:
    """A group that is admitted may be of a peered VPC; a task has groups of its own VPC only."""
    peers = vpc.peer_groups(settings)
    own = {group for pool in settings.pools for group in pool.security_groups}
    if lost := sorted((peers | own) - seen.groups.keys()):
        yield _missing(
            "security groups",
            f"there is no {', '.join(lost)} in {settings.region}",
            "Pool.security_groups, broker.ingress, results.ingress or metrics_from names it: "
            "`aws ec2 describe-security-groups`",
        )
    vpc_id = seen.vpc.id if seen.vpc else None
    strange = sorted(one for one in own & seen.groups.keys() if vpc_id and seen.groups[one].vpc != vpc_id)
    if strange:
        yield _missing(
            "security groups",
            f"{', '.join(strange)}: of another VPC than {vpc_id}",
            "Pool.security_groups: groups of the fleet's own VPC",
        )
