"""Tests of a team's own tasks on real brokers: a pytest plugin, with faults by name (`docs/testing.md`)."""
