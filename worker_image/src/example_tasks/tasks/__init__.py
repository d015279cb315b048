"""Thin tasks: limits, retries and small arguments here, the work in `example_tasks.work`."""
