"""The real command line: `cdk` as package.json pins it, with no credentials and no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import chosen
from tests.infra.synthesis import RELEASE, ROOT

CDK = ROOT / "node_modules" / ".bin" / "cdk"
NOWHERE = "http://127.0.0.1:9"  # the discard port: whatever tries to leave is refused


def cdk(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it with nothing of AWS in the environment, and with every way out closed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {
        **clean,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "CDK_DISABLE_CLI_TELEMETRY": "1",
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
    }
    return subprocess.run(
        [CDK, *arguments, "-c", f"release={RELEASE}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def fresh_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembly that a command on `local` writes where every other account is the placeholder."""
    directory = tmp_path_factory.mktemp("fresh-clone")
    done = cdk("synth", "local/*", "--quiet", "-o", str(directory))
    assert done.returncode == 0, done.stderr
    return directory


def test_all_environments_are_synthesized_without_credentials_or_network(tmp_path: Path) -> None:
    done = cdk("synth", "**", "--quiet", "-c", "placeholder-account=allowed", "-o", str(tmp_path))

    assert done.returncode == 0, done.stderr
    for environment in ("local", "dev", "staging", "prod"):
        assert len(list((tmp_path / f"assembly-{environment}").glob("*.template.json"))) == 4
    # A lookup would be an AWS call at the next synth.
    assert not [file for file in tmp_path.rglob("manifest.json") if '"missing"' in file.read_text()]


@pytest.mark.parametrize(
    "arguments", [("synth", "**"), ("deploy", "prod/*", "--require-approval", "never")], ids=" ".join
)
def test_a_placeholder_account_is_refused_where_it_would_be_used(
    fresh_clone: Path, arguments: tuple[str, ...]
) -> None:
    done = cdk(*arguments, "--app", str(fresh_clone))

    assert done.returncode != 0
    assert "SettingsError: environment prod: account = '111111111111'" in done.stderr + done.stdout
    assert "put your own 12-digit AWS account id into infra/environments.py" in done.stderr + done.stdout


def test_a_settings_error_is_not_buried_in_a_traceback() -> None:
    done = cdk("synth", "--quiet", "-c", "env=pord")

    assert done.returncode != 0
    assert "SettingsError: there is no environment 'pord'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            'HIGH = Pool(name="high", quues=("high",))',
            "SettingsError: infra/environments.py, line {line}: TypeError: Pool.__init__() got an unexpected "
            "keyword argument 'quues'. What each setting is called, and its type, is in infra/settings.py",
        ),
        ('HIGH = Pool(name="high", queues=("high")', "line {line}: '(' was never closed"),
        ('HIGH = Pool(name="high", queues=("high"))', "a tuple of one needs its comma: ('high',)"),
    ],
)
def test_nor_is_one_in_the_settings_file_itself(tmp_path: Path, line: str, says: str) -> None:
    shutil.copy(ROOT / "app.py", tmp_path)
    shutil.copytree(ROOT / "infra", tmp_path / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "worker_image").symlink_to(ROOT / "worker_image")
    settings = tmp_path / "infra" / "environments.py"
    lines = (ROOT / "tests/support/reference.py").read_text().splitlines()
    number = next(index for index, text in enumerate(lines) if text.startswith("HIGH = Pool("))
    lines[number] = line
    settings.write_text("\n".join(lines))

    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != chosen.VARIABLE},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode != 0
    assert says.format(line=number + 1) in done.stderr
    assert "Traceback" not in done.stderr
