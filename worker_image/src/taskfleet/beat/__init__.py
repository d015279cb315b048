"""Beat: Celery's own, publishing like everybody else, and saying that it lives."""
