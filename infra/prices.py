"""What AWS charges, in US dollars, us-east-1, on demand: each price with its page and the month it was seen.

Prices change, and other regions cost about 0 to 25 % more: look again before you budget.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.checks import elasticache

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


# How each was compared, all of it in November 2026, with stored copies: no page of AWS could be opened.
_LIST = "AWS's price list for us-east-1, as a public repository that read it then quotes it"
_PAGE = "the page itself, as it was stored then"
_QUOTED = "quoted from the page by others"

FARGATE = Page("AWS Fargate Pricing", "https://aws.amazon.com/fargate/pricing/", "2026-03", _QUOTED)
CLOUDWATCH = Page(
    "Amazon CloudWatch Pricing", "https://aws.amazon.com/cloudwatch/pricing/", "2026-06", _QUOTED
)
VPC = Page("Amazon VPC Pricing", "https://aws.amazon.com/vpc/pricing/", "2026-02", _QUOTED)
PRIVATELINK = Page(
    "AWS PrivateLink Pricing", "https://aws.amazon.com/privatelink/pricing/", "2026-05", _QUOTED
)
ELASTICACHE = Page(
    "Amazon ElastiCache Pricing", "https://aws.amazon.com/elasticache/pricing/", "2026-10", _LIST
)
KMS = Page("AWS Key Management Service Pricing", "https://aws.amazon.com/kms/pricing/", "2026-03", _QUOTED)
SECRETS = Page(
    "AWS Secrets Manager Pricing", "https://aws.amazon.com/secrets-manager/pricing/", "2026-09", _PAGE
)
SQS = Page("Amazon SQS Pricing", "https://aws.amazon.com/sqs/pricing/", "2026-06", _QUOTED)
DYNAMODB = Page(
    "Amazon DynamoDB Pricing for On-Demand Capacity",
    "https://aws.amazon.com/dynamodb/pricing/on-demand/",
    "2026-07",
    _LIST,
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

# Redis OSS nodes, by the sizes of `elasticache.NODE_SIZES`; the same node with Valkey costs 20 % less.
_REDIS = {
    "t3": (0.017, 0.034, 0.068),
    "t4g": (0.016, 0.032, 0.065),
    "m5": (0.156, 0.311, 0.623, 1.245, 3.744, 7.488),
    "r5": (0.216, 0.431, 0.862, 1.724, 5.184, 10.368),
    "m6g": (0.149, 0.297, 0.593, 1.186, 2.372, 3.557, 4.743),
    "m7g": (0.158, 0.315, 0.629, 1.257, 2.514, 3.770, 5.028),
    "r6g": (0.206, 0.411, 0.821, 1.642, 3.284, 4.925, 6.567),
    "r7g": (0.219, 0.437, 0.873, 1.745, 3.491, 5.235, 6.981),
    "c7gn": (0.255, 0.509, 1.018, 2.037, 4.073, 6.110, 8.147),
}
VALKEY_FACTOR = 0.8
# What the list has for Valkey alone.
_VALKEY = {
    "m8g": (0.1266, 0.2531, 0.5062, 1.0125, 2.0250, 3.0375, 4.0500),
    "r8g": (0.1756, 0.3511, 0.7022, 1.4044, 2.8088, 4.2132, 5.6177),
    "c8gn": (0.1837, 0.3674, 0.7348, 1.4696, 2.9392, 4.4088, 5.8784),
}
# By engine and node type.
CACHE_NODE = {
    (engine, f"cache.{family}.{size}"): Price(dollars * factor, "hour", ELASTICACHE)
    for engine, factor, table in (
        ("redis", 1.0, _REDIS),
        ("valkey", VALKEY_FACTOR, _REDIS),
        ("valkey", 1.0, _VALKEY),
    )
    for family, listed in table.items()
    for size, dollars in zip(elasticache.NODE_SIZES[family], listed, strict=True)
}

ALARM = Price(0.10, "metric and month", CLOUDWATCH)
HIGH_RESOLUTION_ALARM = Price(0.30, "metric and month", CLOUDWATCH)
METRIC = Price(0.30, "month", CLOUDWATCH)
DASHBOARD = Price(3.00, "month", CLOUDWATCH)
PUT_METRIC_DATA = Price(0.01 / 1000, "request", CLOUDWATCH)

# Its first two yearly rotations add $1 a month each; the environment's key is rotated every year.
KMS_KEY = Price(1.00, "month", KMS)
SECRET = Price(0.40, "month", SECRETS)

SQS_REQUEST = Price(0.40 / 1_000_000, "request of up to 64 KB", SQS)
DYNAMODB_WRITE = Price(0.625 / 1_000_000, "KB written", DYNAMODB)
DYNAMODB_READ = Price(0.125 / 1_000_000, "4 KB read consistently, or 8 KB", DYNAMODB)
