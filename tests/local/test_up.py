"""What `make up` says before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.places import Places
from local.up import CannotStart, up


def test_a_folder_too_long_for_a_socket_is_refused_with_what_to_do(tmp_path: Path) -> None:
    root = tmp_path / ("long" * 30)

    with pytest.raises(CannotStart, match="set TASKFLEET_LOCAL_DIR to a shorter folder"):
        up(Places(root))

    assert not root.exists()
