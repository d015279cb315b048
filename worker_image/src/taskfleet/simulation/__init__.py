"""What a scaling policy would do to a load: a pool, its queue and ECS, event by event, seeded."""
