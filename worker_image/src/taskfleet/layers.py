"""Where the fleet's defaults lie in an application's configuration: just above Celery's own.

Celery looks a setting up in a list of maps: changes (``app.conf.x = …``), what ``app.add_defaults`` was
given, the configuration's source (``config_from_object`` and its kin), and last Celery's defaults. Ours are
written into that last map, which Celery copies for each application: so whatever an application says is above
them, whichever way and whenever it says it. (``add_defaults`` would put them above the source.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Celery
from celery.app.defaults import _TO_OLD_KEY


class Defaults:
    """The defaults of one application, put below its configuration each time that it is read."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._values: dict[str, Any] = {}
        app.on_after_configure.connect(self._configured, weak=False)
        # Before receivers of the application's own: they may read the configuration.
        app.on_after_configure.receivers.insert(0, app.on_after_configure.receivers.pop())

    def add(self, values: Mapping[str, Any]) -> None:
        """Add some, now or when the configuration is read."""
        self._values.update(values)
        if self._app.configured:
            self._configured()

    def _configured(self, **_signal: Any) -> None:
        celerys = self._app.conf.maps[-1]
        for key, value in self._values.items():
            celerys[key] = value
            if key in _TO_OLD_KEY:
                # A configuration in Celery's upper-case names has defaults in such names.
                celerys[_TO_OLD_KEY[key]] = value
