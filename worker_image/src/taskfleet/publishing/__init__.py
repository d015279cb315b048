"""Publishing: bounded in time, to the current release, on whichever broker accepts it.

*A call that returns was accepted by a broker.* One whose outcome is unknown (a time-out after the
write) counts as not accepted and goes to the other broker under the same task id: at least once, never
zero. A task that must not run twice needs to look at its id.
"""
