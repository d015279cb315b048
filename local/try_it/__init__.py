"""``make try``: real work through every pool of the local fleet, for a person to see.

`work` says what is sent, `producer` sends it from a process of its own, `progress` counts what the
example tasks recorded (pure), `show` prints it.
"""
