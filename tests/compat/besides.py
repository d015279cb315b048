"""A module that only a worker with ``-I`` imports."""

from __future__ import annotations

from tests.compat.app import app


@app.task(name="besides.there")
def there() -> bool:
    """It is."""
    return True
