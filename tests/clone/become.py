"""Turn a copy of this checkout into another team's: ``python -m tests.clone.become DIRECTORY``.

Its account, environments and pools of its own names, a gevent pool and more queues, and a package of its own
in place of the example tasks. The installed packages are those of this checkout.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GONE = "build/gone"  # goes into PYTHONPATH
_APP = '''"""The shop's application."""

from __future__ import annotations

from celery import Celery
from taskfleet import install

app = install(Celery("shop", include=["shop.tasks"]))
app.conf.task_routes = {"shop.crawl": {"queue": "pages"}}
'''
_TASKS = '''"""The shop's tasks."""

from __future__ import annotations

from shop.app import app


@app.task(name="shop.crawl")
def crawl(page: str) -> int:
    """How long a page is."""
    return len(page)
'''


def become(directory: Path) -> Path:
    """Copy what git knows or would add, and change it; the copy's directory."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    for installed in (".venv", "node_modules"):
        (directory / installed).symlink_to(ROOT / installed)
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", directory / ".mypy_cache")
    shutil.copy2(ROOT / "tests/clone/environments.py", directory / "infra/environments.py")
    source = directory / "worker_image/src"
    shutil.rmtree(source / "example_tasks", ignore_errors=True)
    shop = source / "shop"
    shop.mkdir()
    # The installed packages lead to this checkout's example tasks, which the clone has no more.
    gone = directory / GONE / "example_tasks.py"
    gone.parent.mkdir(parents=True)
    gone.write_text('raise ModuleNotFoundError("deleted", name="example_tasks")\n')
    # As docs/your-project.md says: Celery's decorators are untyped.
    project = directory / "pyproject.toml"
    project.write_text(project.read_text().replace('"example_tasks.*"', '"shop.*"'))
    for name, text in (("__init__.py", '"""A shop."""\n'), ("app.py", _APP), ("tasks.py", _TASKS)):
        (shop / name).write_text(text)
    return directory


if __name__ == "__main__":
    become(Path(sys.argv[1]))
