"""An application that signs its messages; imported with it where a feature asks for it."""

from __future__ import annotations

from tests.compat.app import app

app.setup_security()
