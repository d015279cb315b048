"""Each feature of Celery's user guide, on stock Celery and on the fleet: ``python -m tests.compat``.

A feature is a small function in the module of its chapter. It is run twice in each cell (a broker and a kind
of pool): on a stock worker, and on one of the fleet that is started as the image starts it. What
both observe is compared. What differs must have its reason in `tests.compat.differences`, and a reason must
have a difference.
"""
