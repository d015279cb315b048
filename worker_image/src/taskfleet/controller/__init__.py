"""The one always-on service of an environment: every 10 s it gathers, plans and executes.

`gather` looks and decides nothing; `taskfleet.releases.plan` and `taskfleet.scaling.capacity_gap` decide and
touch nothing; `execute` does. No edge that fails (a broker, SSM, DynamoDB, ECS, CloudWatch) ends a look:
what is known is still published.
"""
