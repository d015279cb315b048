"""The worker: Celery's own, started with what its environment says, and made to stop and to wait well."""
