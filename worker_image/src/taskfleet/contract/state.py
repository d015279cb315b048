"""The state table: one DynamoDB table with a string key ``id``; every item's key is made here."""

from __future__ import annotations

KEY = "id"
# DynamoDB deletes an item some time after this moment, seconds since the epoch. Most have none, and stay.
EXPIRES = "expires_at"

# The pointer's record: `release`, `version` (conditional writes), `at`, `actor`, `reason`. The SSM
# parameter that producers read is its published copy: SSM has no conditional write.
POINTER = "pointer"
# … and while a release is in its canary the split, as its parameter has it (`taskfleet.contract.split`).
SPLIT = "split"
# The controller's last look, as JSON in `look`, with `at`; what `fleet status` prints.
LOOK = "look"
# What workers counted of their tasks over the last hour, as JSON in `hour`; what `fleet tasks` prints.
HOUR = "hour"
# The last tick of the beat whose turn it is: `at`.
BEAT = "beat"
# When each entry of beat's schedule ran last: `runs`, a map of its name → `at`, `schedule`.
BEAT_RUNS = "beat-runs"

# Which release's beat fires: `release`, `beat`, `version` (conditional writes), `at`, `until`.
BEAT_TURN = "beat-turn"

# What the key of every release's record matches: everybody who publishes may read these.
RELEASES = "release#*"
# What people have set with `fleet scale`: `version`, and `holds` by ECS service: workers, until, actor.
HOLDS = "holds"


def release(release_id: str) -> str:
    """A release's record: `state`, `version`, `digest`, `history` (list of at/actor/reason/from/to)."""
    return f"release#{release_id}"


# What the key of every gate proof matches: workers may write these items and no others.
GATES = "gate#*"


def gate(versioned_queue: str, broker: str, build: str = "") -> str:
    """The proof that a gate task ran: written by the worker that ran it, on `primary` or `fallback`.

    Of a release that is rolled each ``build`` has its own: workers of two are there at once.
    """
    return f"gate#{broker}#{versioned_queue}" + (f"#{build}" if build else "")


def gate_beat(release: str) -> str:
    """The proof that a release's beat ticks while it is not its turn: `at`, written again and again."""
    return f"gate#beat#{release}"


GATE_CHECKS = "gate#check#"


def gate_check(release: str, task: str) -> str:
    """How a check of the team's ended: written by the worker that ran it.

    `registered` names the deployment, `message` who runs it, `begun` and `ended` are seconds since the epoch,
    `failure` is why it failed.
    """
    return f"{GATE_CHECKS}{release}#{task}"


def signatures(release: str) -> str:
    """Of the build whose gate passed last in a release that is rolled: `build`, `at`, `tasks` (zipped JSON).

    Its messages may be in the queues, so that each later build must take them.
    """
    return f"signatures#{release}"


def newest_signatures(release: str) -> str:
    """The same of a build that is being deployed: written by each of its workers that starts."""
    return f"gate#signatures#{release}"


def refused_build(release: str) -> str:
    """The last build whose signatures break what may be in the queues: `build`, `at`, `breaks` (texts)."""
    return f"gate#refused#{release}"


# What the key of every item of revokes matches: workers read and write these, producers write them.
REVOKES = "revokes#*"


def revokes(slot: int) -> str:
    """What was revoked within one ten-minute ``slot``: `asked`, a set of JSON, and when it expires."""
    return f"revokes#{slot}"
