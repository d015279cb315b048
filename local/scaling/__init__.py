"""What Application Auto Scaling does with step scaling policies, for an account that only stores them.

`policy` reads targets and policies, `plan` decides (pure), `invoke` acts on ECS.
"""
