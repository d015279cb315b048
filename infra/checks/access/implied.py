"""What is asked of IAM without a request that anybody here sees.

What a service asks of KMS in its caller's name: Secrets Manager guide, "Permissions for the KMS key"; SQS
guide, "Configure AWS KMS permissions"; DynamoDB guide, "Authorizing use of your KMS key". And what ECS does
with a task's execution role before the container runs: ECS guide, "Amazon ECS task execution IAM role".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from infra.checks.access.resolve import Account
from infra.settings import Secret
from local.emulator.calls import Asked

_DATA_KEY, _DECRYPT = "kms:GenerateDataKey", "kms:Decrypt"
_KMS = {
    "sqs:SendMessage": (_DATA_KEY, _DECRYPT),
    "sqs:ReceiveMessage": (_DECRYPT,),
    "secretsmanager:GetSecretValue": (_DECRYPT,),
    "secretsmanager:PutSecretValue": (_DATA_KEY, _DECRYPT),
    "dynamodb:*": (_DECRYPT,),
}
_SECRETS = {"secretsmanager": "GetSecretValue", "ssm": "GetParameters"}


def of_key(question: Asked, account: Account) -> Iterator[Asked]:
    """What the service that answers asks of the environment's key."""
    service = question.action.partition(":")[0]
    for action in _KMS.get(question.action, _KMS.get(f"{service}:*", ())):
        via = {"kms:ViaService": f"{service}.{account.region}.amazonaws.com"}
        for key in _keys(account):
            yield Asked(action, key, via)


def of_roles(question: Asked, account: Account) -> Iterator[Asked]:
    """Whoever starts a task hands its roles to ECS: IAM guide, "Grant a user permissions to pass a role"."""
    if question.action != "ecs:RunTask":
        return
    family = question.resource.rpartition("/")[2].partition(":")[0]
    for stack, template in account.templates.items():
        for resource in template["Resources"].values():
            given = resource.get("Properties", {})
            if (
                resource["Type"] == "AWS::ECS::TaskDefinition"
                and account.value(given["Family"], stack) == family
            ):
                for role in ("TaskRoleArn", "ExecutionRoleArn"):
                    to = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
                    yield Asked("iam:PassRole", str(account.value(given[role], stack)), to)


def at_start(account: Account, secrets: Iterable[Secret] = ()) -> Iterator[tuple[str, Asked]]:
    """(execution role's logical id, question) for each container of each task definition.

    ``secrets`` are the team's: a template does not say which key a secret is under.
    """
    keys = {secret.arn: secret.key for secret in secrets if secret.key}
    for stack, template in account.templates.items():
        for resource in template["Resources"].values():
            if resource["Type"] != "AWS::ECS::TaskDefinition":
                continue
            given = resource["Properties"]
            role = given["ExecutionRoleArn"]["Fn::GetAtt"][0]
            for container in given["ContainerDefinitions"]:
                yield from (
                    (role, one) for one in _of_container(account, account.value(container, stack), keys)
                )


def _of_container(account: Account, container: dict[str, object], keys: Mapping[str, str]) -> Iterator[Asked]:
    options = container["LogConfiguration"]["Options"]  # type: ignore[index]
    group = f"arn:aws:logs:{account.region}:{account.account}:log-group:{options['awslogs-group']}:*"
    yield Asked("logs:CreateLogStream", group)
    yield Asked("logs:PutLogEvents", group)
    image = str(container["Image"])
    if ".dkr.ecr." in image:
        registry, _, rest = image.partition("/")
        name = rest.partition("@")[0].partition(":")[0]
        owner, _, _, region = registry.split(".")[:4]
        repository = f"arn:aws:ecr:{region}:{owner}:repository/{name}"
        yield Asked("ecr:GetAuthorizationToken", "*")
        for action in ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage"):
            yield Asked(f"ecr:{action}", repository)
    for secret in container.get("Secrets", []):  # type: ignore[attr-defined]
        arn = ":".join(secret["ValueFrom"].split(":")[:7])  # without the field
        service, action = next((name, action) for name, action in _SECRETS.items() if f":{name}:" in arn)
        yield Asked(f"{service}:{action}", arn)
        if arn in keys:
            yield Asked(_DECRYPT, keys[arn], {"kms:ViaService": f"{service}.{account.region}.amazonaws.com"})


def _keys(account: Account) -> Iterator[str]:
    for stack, template in account.templates.items():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] == "AWS::KMS::Key":
                yield account.arn(logical_id, "Arn", stack)
