"""For a Prometheus and a Grafana of yours: `rules.json` (recording and alert rules) and `dashboard.json`.

Both are written by `make docs` from the names that controller and workers serve and from the catalogue of
alarms. Not in ``infra``, which is what AWS is given; nor in the image, which only serves.
"""
