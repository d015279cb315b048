"""Plain code: no Celery, no queues. What a task does when it runs."""
