"""The secrets that a user gives to the tasks: where each is, and which key it is under."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.rules.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings

# A secret's ARN ends in six characters that Secrets Manager adds to its name: IAM sees the whole of it. Names
# with `!` are of secrets that AWS manages, as RDS does a database's password (rds!db-…).
_SECRET = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@!-]+-[A-Za-z0-9]{6}"
)
_PARAMETER = re.compile(r"arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter/[A-Za-z0-9_./-]+")
_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")


def _arns(settings: Settings) -> Iterator[Problem]:
    for name, secret in settings.secret_variables.items():
        if not (_SECRET.fullmatch(secret.arn) or _PARAMETER.fullmatch(secret.arn)):
            yield Problem(
                setting=f"secrets[{name!r}]",
                value=secret.arn,
                rule="a secret is named by its whole ARN, in Secrets Manager or in Parameter Store; its "
                "value never stands in this file",
                fix="arn:aws:secretsmanager:<region>:<account>:secret:<name>-<six characters>, as "
                "`aws secretsmanager describe-secret --secret-id <name> --query ARN` says it (one field "
                "of it: Secret(arn, field=…)), or arn:aws:ssm:<region>:<account>:parameter/<name>",
            )


def _places(settings: Settings) -> Iterator[Problem]:
    for name, secret in settings.secret_variables.items():
        place = secret.arn.split(":")[3:5]
        if len(place) == 2 and place != [settings.region, settings.account]:
            yield Problem(
                setting=f"secrets[{name!r}]",
                value=secret.arn,
                rule=f"a secret is in the environment's own account and region ({settings.region}, "
                f"{settings.account}): its containers reach no other region's, and no policy here opens "
                "another account's",
                fix="name its copy there: `aws secretsmanager replicate-secret-to-regions` makes one in "
                "another region",
            )


def _fields(settings: Settings) -> Iterator[Problem]:
    for name, secret in settings.secret_variables.items():
        if secret.field and _PARAMETER.fullmatch(secret.arn):
            yield Problem(
                setting=f"secrets[{name!r}].field",
                value=secret.field,
                rule="ECS takes a field only of a secret in Secrets Manager; a parameter is given whole",
                fix="a parameter for that value alone, or the secret's ARN",
            )
        elif secret.field and (secret.field.strip() != secret.field or not secret.field.isprintable()):
            yield Problem(
                setting=f"secrets[{name!r}].field",
                value=secret.field,
                rule="a field is the name of one key of the secret's JSON object, without white space around "
                "it: no container starts whose secret lacks it",
                fix="the name as it stands in the secret, or field='' for all of it",
            )
        elif ":" in secret.field:
            yield Problem(
                setting=f"secrets[{name!r}].field",
                value=secret.field,
                rule="a field is the name of one key of the secret's JSON object; ECS ends it at a colon",
                fix="the name alone, without version stage or id",
            )


def _keys(settings: Settings) -> Iterator[Problem]:
    for name, secret in settings.secret_variables.items():
        if not secret.key:
            continue
        if not _KEY.fullmatch(secret.key) or secret.key.split(":")[3] != settings.region:
            yield Problem(
                setting=f"secrets[{name!r}].key",
                value=secret.key,
                rule=f"a key is named by its ARN in {settings.region}, never by an alias: IAM grants nothing "
                "on the key that an alias leads to",
                fix="arn:aws:kms:<region>:<account>:key/<id>, as `aws kms describe-key --key-id "
                "alias/<name> --query KeyMetadata.Arn` says it; leave it out for AWS's own key",
            )


RULES = (_arns, _places, _fields, _keys)
