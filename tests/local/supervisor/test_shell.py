"""The file that a shell sources."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local import fleet_environment, shell
from local.broker import certificates
from local.places import REPOSITORY, Places
from local.ports import Ports


def _written(tmp_path: Path) -> Places:
    places = Places(tmp_path / "with a blank")
    places.root.mkdir()
    certificates.ensure(places.certificates, places.ca)
    shell.write(
        places,
        Ports(emulator=4000, broker=4001, valkey=4002, replica=4003, results=4004, results_valkey=4005),
    )
    return places


def test_a_posix_shell_has_the_variables_after_sourcing_it(tmp_path: Path) -> None:
    places = _written(tmp_path)
    script = '. "$1"; echo "$AWS_ENDPOINT_URL $TASKFLEET_BROKER_PORT $SSL_CERT_FILE"; echo "$PATH"'
    result = subprocess.run(
        ["sh", "-c", script, "sh", str(places.env)],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    values, path = result.stdout.splitlines()
    assert values == f"http://localhost:4000 4001 {places.trusted}"
    assert path == f"{REPOSITORY / '.venv' / 'bin'}:/usr/bin:/bin"


def test_the_other_reader_of_the_file_sees_the_same(tmp_path: Path) -> None:
    places = _written(tmp_path)
    read = fleet_environment.sourced(places.env)
    assert read["AWS_ENDPOINT_URL"] == "http://localhost:4000"
    assert read["PATH"].startswith(f"{REPOSITORY / '.venv' / 'bin'}:")


def test_what_it_trusts_holds_the_brokers_authority_and_this_machines(tmp_path: Path) -> None:
    places = _written(tmp_path)
    assert places.trusted.read_text().startswith(places.ca.read_text())
