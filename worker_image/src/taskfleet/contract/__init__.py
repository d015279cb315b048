"""What both sides must agree on: names, shapes and limits.

Standard library only. ``infra`` imports it to write templates, the image imports it to run; neither
types a shared name twice. Names and shapes are code here; addresses and secrets are environment
variables (``taskfleet.contract.environment``).
"""
