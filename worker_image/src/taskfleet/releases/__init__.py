"""Releases: their states, the rules that move them, the commands of operators, and where it is all kept."""
