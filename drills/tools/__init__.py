"""Drills of `taskfleet.tools`: processes die, Redis restarts, messages come five times; effects are counted.

They run on servers and workers of their own (`drills.tools.rig`), without the local fleet.
"""
