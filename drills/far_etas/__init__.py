"""`make drill DRILL=far-etas MANY=100000`: what waits for its ETA costs no worker, and runs in time."""
