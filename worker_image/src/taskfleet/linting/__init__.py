"""What the source code of a Celery application says that its team will regret in production.

Files are parsed, never imported or run. Each module but `finding`, `reading`, `names` and `checking` is one
group of rules, a function from a file to its findings.
"""
