"""What ECS does, on this machine: run the services of the emulated account as processes.

``python -m local.agent`` looks at the account's clusters, services and task definitions over the AWS
API, decides what to start and stop (`plan`, pure), does it, and reports its tasks back
(`local.emulator`, ``PUT /_local/ecs/tasks``). Nothing about a pool is written here: what runs is what
was deployed. A task is one container; a container is a process group.

Not done here, because there is nothing to do it with: CPU shares, networks, task roles, images that
need a container engine, tasks of more than one container. The logs of a container are a file,
``logs/<service>/<task id>.log`` in the local directory; they do not go to CloudWatch Logs.
"""
