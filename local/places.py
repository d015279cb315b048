"""Where the local fleet keeps what it writes: one directory, so that several fleets can run side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VARIABLE = "TASKFLEET_LOCAL_DIR"


@dataclass(frozen=True)
class Places:
    """The files of one local fleet, all under `root`."""

    root: Path

    @classmethod
    def from_environment(cls) -> Places:
        """``TASKFLEET_LOCAL_DIR``, or ``build/local`` of this checkout."""
        return cls(Path(os.environ.get(VARIABLE) or REPOSITORY / "build" / "local").resolve())

    @property
    def ports(self) -> Path:
        """The ports, chosen at the first `up` and kept: the broker's is part of what is deployed."""
        return self.root / "ports.json"

    @property
    def account(self) -> Path:
        """What the emulated account holds."""
        return self.root / "account"

    @property
    def calls(self) -> Path:
        """Who asked the account for what (`local.emulator.recorder`)."""
        return self.root / "calls.jsonl"

    @property
    def broker(self) -> Path:
        """The broker's append-only file."""
        return self.root / "broker"

    @property
    def broker_2(self) -> Path:
        """That of its second node."""
        return self.root / "broker-2"

    @property
    def broker_endpoint(self) -> Path:
        """Where the broker's endpoint leads to since a failover (`local.broker.nodes`)."""
        return self.root / "broker-endpoint"

    @property
    def results(self) -> Path:
        """The append-only file of the results' cache."""
        return self.root / "results"

    @property
    def results_control(self) -> Path:
        """As `front_control`, of the front of the results' cache."""
        return self.root / "results.sock"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.root / "logs"

    @property
    def journal(self) -> Path:
        """Where workers record what ran (`drills.tasks.journal`)."""
        return self.root / "journal"

    @property
    def status(self) -> Path:
        """What runs: written by the supervisor at every change."""
        return self.root / "status.json"

    @property
    def supervisor_pid(self) -> Path:
        """The supervisor's process id, and a lock that it holds as long as it lives."""
        return self.root / "supervisor.pid"

    @property
    def env(self) -> Path:
        """To be sourced by a shell. No secret in it."""
        return self.root / "env"

    @property
    def ca(self) -> Path:
        """The certificate to trust for the broker's TLS."""
        return self.root / "ca.pem"

    @property
    def trusted(self) -> Path:
        """`ca` and this machine's own authorities: for a shell, which talks to others as well."""
        return self.root / "trusted.pem"

    @property
    def interrupted(self) -> Path:
        """There if the account was lost in the middle of a deployment and must be made anew."""
        return self.account / "interrupted"

    @property
    def certificates(self) -> Path:
        """Private: the keys of the authority and of the broker's front."""
        return self.root / "certificates"

    @property
    def front_control(self) -> Path:
        """The control socket of the broker's TLS front (`local.broker.front`)."""
        return self.root / "front.sock"

    @property
    def scraped(self) -> Path:
        """Where each container serves `/metrics`: `file_sd_configs` of a Prometheus, kept by the agent."""
        return self.root / "scraped.json"

    @property
    def prometheus(self) -> Path:
        """What the Prometheus of `make observe` keeps."""
        return self.root / "prometheus"

    @property
    def observer(self) -> Path:
        """Its process id and port, and a lock that it holds as long as it lives."""
        return self.root / "prometheus.pid"

    @property
    def cdk_log(self) -> Path:
        """Everything that the CDK printed during the last `up`."""
        return self.logs / "cdk.log"

    @property
    def cdk_out(self) -> Path:
        """The synthesized templates of the last `up`."""
        return self.root / "cdk.out"
