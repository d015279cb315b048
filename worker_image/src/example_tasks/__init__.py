"""Example tasks: the cases of a small shop, to try the fleet with and to copy from.

Where your own tasks go
-----------------------
Put a package of your own beside this one, in ``worker_image/src/``, with a module that makes the Celery
application::

    from celery import Celery
    from taskfleet import install

    app = install(Celery("shop", include=["shop.tasks"]))

and point the image at it with one setting in ``infra/environments.py``: ``Settings(app="shop.app:app")``.
Requirements of your own go into ``worker_image/pyproject.toml``. Then this package may be deleted.

How it is laid out
------------------
``app.py``    the application: routes and periodic entries
``tasks/``    thin tasks: a name, limits, what is retried; small JSON arguments (ids, not objects)
``work/``     plain code that knows nothing of Celery, and is tested without it

Tasks run at least once: after a crash the same task can run again. Work that must take effect once is written
so that a second run finds it done (``work/parcels.py`` shows how).
"""
