"""What AWS charges, in US dollars, us-east-1, on demand, as listed in 2026.

Taken from the pages named beside each price, which change: look again before you budget. Other
regions cost about 0 to 25 % more.
"""

from __future__ import annotations

HOURS_PER_MONTH = 730

# https://aws.amazon.com/fargate/pricing/, Linux
FARGATE_VCPU_HOUR = {"X86_64": 0.04048, "ARM64": 0.03238}
FARGATE_GB_HOUR = {"X86_64": 0.004445, "ARM64": 0.00356}
# Spot prices move; https://aws.amazon.com/fargate/pricing/ says "up to 70 % off".
FARGATE_SPOT_FACTOR = 0.3

# https://aws.amazon.com/vpc/pricing/ and https://aws.amazon.com/privatelink/pricing/
NAT_GATEWAY_HOUR = 0.045
PUBLIC_IPV4_HOUR = 0.005
INTERFACE_ENDPOINT_ZONE_HOUR = 0.01

# https://aws.amazon.com/elasticache/pricing/, Redis OSS nodes; Valkey nodes cost 20 % less. These are the
# figures most worth a second look: they were written down without the page at hand.
CACHE_NODE_HOUR = {
    "cache.t4g.micro": 0.016,
    "cache.t4g.small": 0.032,
    "cache.t4g.medium": 0.065,
    "cache.m7g.large": 0.158,
    "cache.m7g.xlarge": 0.315,
    "cache.r7g.large": 0.219,
    "cache.r7g.xlarge": 0.437,
}
VALKEY_FACTOR = 0.8

# https://aws.amazon.com/cloudwatch/pricing/
ALARM_MONTH = 0.10
HIGH_RESOLUTION_ALARM_MONTH = 0.30
METRIC_MONTH = 0.30
DASHBOARD_MONTH = 3.00
PUT_METRIC_DATA_THOUSAND = 0.01

# https://aws.amazon.com/kms/pricing/ and https://aws.amazon.com/secrets-manager/pricing/
KMS_KEY_MONTH = 1.00
SECRET_MONTH = 0.40

# https://aws.amazon.com/sqs/pricing/ (a request carries up to 64 KB) and
# https://aws.amazon.com/dynamodb/pricing/on-demand/
SQS_MILLION_REQUESTS = 0.40
DYNAMODB_MILLION_WRITES = 0.625
DYNAMODB_MILLION_READS = 0.125
