"""What AWS charges, in US dollars, us-east-1, on demand: each price with its page and the month it was seen.

Prices change, and other regions cost about 0 to 25 % more: look again before you budget.
"""

from __future__ import annotations

from dataclasses import dataclass

HOURS_PER_MONTH = 730


@dataclass(frozen=True)
class Page:
    """A pricing page of AWS. ``seen``: when its figures were last compared; ``how``: with what."""

    name: str
    address: str
    seen: str  # 2026-03
    how: str


@dataclass(frozen=True)
class Price:
    """So many dollars for each ``unit``, as ``page`` says."""

    dollars: float
    unit: str
    page: Page


# What is quoted was read in 2026 in articles that give the page's own figures. What is "written down" has not
# been compared with anything since: no page was at hand.
_QUOTED, _WRITTEN = "quoted by others", "written down from memory"
FARGATE = Page("AWS Fargate Pricing", "https://aws.amazon.com/fargate/pricing/", "2026-03", _QUOTED)
CLOUDWATCH = Page(
    "Amazon CloudWatch Pricing", "https://aws.amazon.com/cloudwatch/pricing/", "2026-06", _QUOTED
)
VPC = Page("Amazon VPC Pricing", "https://aws.amazon.com/vpc/pricing/", "2026-11", _WRITTEN)
PRIVATELINK = Page(
    "AWS PrivateLink Pricing", "https://aws.amazon.com/privatelink/pricing/", "2026-11", _WRITTEN
)
ELASTICACHE = Page(
    "Amazon ElastiCache Pricing", "https://aws.amazon.com/elasticache/pricing/", "2026-11", _WRITTEN
)
KMS = Page("AWS Key Management Service Pricing", "https://aws.amazon.com/kms/pricing/", "2026-11", _WRITTEN)
SECRETS = Page(
    "AWS Secrets Manager Pricing", "https://aws.amazon.com/secrets-manager/pricing/", "2026-11", _WRITTEN
)
SQS = Page("Amazon SQS Pricing", "https://aws.amazon.com/sqs/pricing/", "2026-11", _WRITTEN)
DYNAMODB = Page(
    "Amazon DynamoDB Pricing for On-Demand Capacity",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "2026-11",
    _WRITTEN,
)

# By processor, Linux.
FARGATE_VCPU = {
    "X86_64": Price(0.04048, "vCPU and hour", FARGATE),
    "ARM64": Price(0.03238, "vCPU and hour", FARGATE),
}
FARGATE_GB = {
    "X86_64": Price(0.004445, "GB and hour", FARGATE),
    "ARM64": Price(0.00356, "GB and hour", FARGATE),
}

NAT_GATEWAY = Price(0.045, "hour", VPC)
PUBLIC_IPV4 = Price(0.005, "hour", VPC)
INTERFACE_ENDPOINT = Price(0.01, "zone and hour", PRIVATELINK)

# Redis OSS nodes; Valkey nodes cost 20 % less.
CACHE_NODE = {
    node: Price(dollars, "hour", ELASTICACHE)
    for node, dollars in {
        "cache.t4g.micro": 0.016,
        "cache.t4g.small": 0.032,
        "cache.t4g.medium": 0.065,
        "cache.m7g.large": 0.158,
        "cache.m7g.xlarge": 0.315,
        "cache.r7g.large": 0.219,
        "cache.r7g.xlarge": 0.437,
    }.items()
}
VALKEY_FACTOR = 0.8

ALARM = Price(0.10, "metric and month", CLOUDWATCH)
HIGH_RESOLUTION_ALARM = Price(0.30, "metric and month", CLOUDWATCH)
METRIC = Price(0.30, "month", CLOUDWATCH)
DASHBOARD = Price(3.00, "month", CLOUDWATCH)
PUT_METRIC_DATA = Price(0.01 / 1000, "request", CLOUDWATCH)

KMS_KEY = Price(1.00, "month", KMS)
SECRET = Price(0.40, "month", SECRETS)

SQS_REQUEST = Price(0.40 / 1_000_000, "request of up to 64 KB", SQS)
DYNAMODB_WRITE = Price(0.625 / 1_000_000, "KB written", DYNAMODB)
DYNAMODB_READ = Price(0.125 / 1_000_000, "4 KB read consistently, or 8 KB", DYNAMODB)
