"""Far ETAs: tasks that wait in a table of their own, so that no release's drain waits for them.

A publish whose ETA is farther ahead than the environment's ``etas_beyond_seconds`` is kept there whole
(`taskfleet.publishing.scheduling`); what DynamoDB does not take in the publish's time goes to a queue, as
every other. The beat whose turn it is sends what is due within a minute, with its ETA, through the publisher
(`taskfleet.beat.etas`), and deletes it once a broker has it: at least once, under the same task id.

A task is bound to a release when it is sent (`taskfleet.etas.eta.Binding`).
"""
