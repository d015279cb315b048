"""``python -m infra.preflight ENV``. 0 if a deploy can succeed, 1 if something is missing."""

from __future__ import annotations

import argparse
import sys

import boto3

from infra import preflight
from infra.chosen import ALL


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.preflight", description=preflight.__doc__)
    parser.add_argument("environment", choices=[one.name for one in ALL])
    (settings,) = (one for one in ALL if one.name == parser.parse_args().environment)
    return 0 if preflight.passes(settings, boto3.Session(region_name=settings.region)) else 1


if __name__ == "__main__":
    sys.exit(main())
