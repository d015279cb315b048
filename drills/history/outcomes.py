"""What becomes of a publish, as its producer knows it."""

from __future__ import annotations

ACCEPTED = "accepted"
REFUSED = "refused"  # for certain: no broker has it
UNCERTAIN = "uncertain"  # no broker said that it has it, and one may
NEVER_INVOKED = "never-invoked"  # its producer was killed before it came to it
KILLED = "killed"  # its producer was killed in it: nobody knows
