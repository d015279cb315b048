"""`fleet producer-env`: what a process outside the fleet must know to publish to it."""

from __future__ import annotations

import click

from taskfleet import aws
from taskfleet.cli.operator import Operator, asks
from taskfleet.cli.output import show_json
from taskfleet.contract import container, names, parameters, results
from taskfleet.contract import environment as env
from taskfleet.errors import TaskfleetError

_FROM_BASE = {env.BROKER_HOST.name: "broker-host", env.BROKER_PORT.name: "broker-port"}
_RESULTS = "result-backend"  # an environment that was deployed by an earlier version has not said


@click.command("producer-env")
@asks
def producer_env(operator: Operator) -> None:
    """Print the environment variables of a producer, as lines for an env file; nothing in it is secret.

    Its role needs the managed policy that the comment names, and its network a way to the broker.
    """
    account = operator.client("sts").get_caller_identity()["Account"]
    region = operator.client("ssm").meta.region_name
    policy = f"arn:aws:iam::{account}:policy/{names.producer_policy(operator.environment, region)}"
    variables = {env.ENVIRONMENT.name: operator.environment, **_read(operator)}
    if region := aws.region():
        variables[container.REGION] = region
    if operator.json:
        show_json({"variables": variables, "policy": policy})
        return
    click.echo(f"# attach to its role: {policy}")
    for name, value in variables.items():
        click.echo(f"{name}={value}")


def _read(operator: Operator) -> dict[str, str]:
    wanted = {parameters.base(operator.environment, name): key for key, name in _FROM_BASE.items()}
    backend = parameters.base(operator.environment, _RESULTS)
    reply = operator.client("ssm").get_parameters(Names=[*wanted, backend])
    if missing := sorted(wanted.keys() & set(reply["InvalidParameters"])):
        raise TaskfleetError(
            f"{', '.join(missing)}: there is no such parameter; deploy {operator.environment} first, "
            "or look in its account and region (AWS_PROFILE, AWS_REGION)"
        )
    found = {one["Name"]: one["Value"] for one in reply["Parameters"]}
    variables = {key: found[name] for name, key in wanted.items()}
    own = found.get(backend, results.NONE)
    return variables if own == results.NONE else {**variables, env.RESULT_BACKEND.name: own}
