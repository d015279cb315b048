"""What `make up` prints at its end: what runs where, and what to try next."""

from __future__ import annotations

import os
from pathlib import Path

from local.account import endpoint
from local.places import Places
from local.ports import Ports
from local.steady import Service


def show(places: Places, ports: Ports, services: list[Service], release: str) -> None:
    """To standard output."""
    print(render(places, ports, services, release))


def render(places: Places, ports: Ports, services: list[Service], release: str) -> str:
    """The page."""
    width = max(len(service.name) for service in services)
    counts = "\n".join(
        f"    {service.name:<{width}}  {service.running} of {service.desired} running" for service in services
    )
    return f"""
  The fleet runs on this machine, deployed by the CDK. Current release: {release}.

  AWS account   {endpoint(ports)}   (emulated: account 000000000000, us-east-1)
  Broker        rediss://localhost:{ports.broker}   (its password is in Secrets Manager)
  Services
{counts}
  Logs          {_short(places.logs)}/

  Next
    make try                        submit a few hundred tasks to every queue, and watch them
    . {_short(places.env)}
    fleet status                    what the operators' command sees
    edit worker_image/src/…         the workers restart with the change
    make down                       end everything
"""


def _short(path: Path) -> str:
    """As it would be typed from here."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)
