"""The drills' own tasks, which every worker on this machine has beside the team's.

The agent puts this package on the path of each container here and names it in ``TASKFLEET_INCLUDE``; no
image has it. So drills, tests and ``make try`` work with whatever tasks and queues a team has.

``faulty``     tasks that misbehave in one known way each
``recording``  writes down what each task did, the team's included
``journal``    where that is written
``builds``     four builds of one application, for rolling deploys
``app``        an application for producers, which publishes these tasks and has none of the team's
"""

from __future__ import annotations

MODULES = ("drills.tasks.faulty", "drills.tasks.recording")
