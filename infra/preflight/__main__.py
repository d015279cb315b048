"""``python -m infra.preflight ENV``. 0 if a deploy can succeed, 1 if something is missing."""

from __future__ import annotations

import argparse
import sys

from taskfleet.errors import SettingsError

from infra import credentials, preflight, release_id
from infra.chosen import ALL


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.preflight", description=preflight.__doc__)
    parser.add_argument("environment", choices=[one.name for one in ALL])
    parser.add_argument(
        "--release", type=release_id.given, help="the id of the release that is to be deployed"
    )
    given = parser.parse_args()
    (settings,) = (one for one in ALL if one.name == given.environment)
    try:
        release = release_id.release_id(settings, given.release)
    except SettingsError as error:
        print(f"SettingsError: {error}", file=sys.stderr)
        return 1
    if not preflight.passes(settings, credentials.session(settings), release=release):
        print(f"  next: mend what is missing, then `make preflight ENV={settings.name}` again")
        return 1
    if not settings.on_this_machine:
        print(f"  next: `make cost ENV={settings.name}`, `make deploy ENV={settings.name}`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
