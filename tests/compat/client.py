"""Runs features on one side of one cell, many at a time: ``python -m tests.compat.client OUT ID…``."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.compat.context import Context, Shared
from tests.compat.feature import Feature, all_features
from tests.compat.sides import Side

SIDE = "COMPAT_THE_SIDE"
AT_ONCE = 10


def run(feature: Feature, side: Side, attempt: str, shared: Shared) -> dict[str, Any]:
    """What is observed, or what was raised instead; and how many seconds it took."""
    context, began = Context(side, f"{feature.id}.{attempt}", shared), time.monotonic()
    try:
        found: dict[str, Any] = {"observed": json.loads(json.dumps(feature.run(context)))}
    except Exception as error:  # noqa: BLE001 - it is what is reported
        found = {
            "raised": f"{type(error).__name__}: {error}"[:2000],
            "traceback": traceback.format_exc()[-3000:],
        }
    finally:
        context.close()
    return {**found, "seconds": round(time.monotonic() - began, 1)}


def main(out: str, attempt: str, ids: list[str]) -> None:
    """Run them, those that must be alone at the end, and write what was observed by id."""
    side, features = Side.from_json(os.environ[SIDE]), all_features()
    folder = Path(out).with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    shared, found, lock = Shared(folder), {}, threading.Lock()

    def one(feature: Feature) -> None:
        result = run(feature, side, attempt, shared)
        with lock:
            found[feature.id] = result
            Path(out).write_text(json.dumps(found, indent=1))

    chosen = [features[each] for each in ids]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, (each for each in chosen if not each.alone)))
        for each in chosen:
            if each.alone:
                one(each)
    finally:
        shared.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
    os._exit(0)  # threads of the brokers' clients have nothing left to do
