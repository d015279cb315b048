"""Starts the processes of the local fleet, restarts what dies and says so; all of them die with it."""
