"""`history`: seeded random programs of publishes and faults, and a checker of what happened.

`program` makes the steps of a seed, `rig` is the small fleet that they run on, `run` carries them out and
records, `check` judges the record. `shrink` looks for the shortest prefix of a program that still fails.
"""
