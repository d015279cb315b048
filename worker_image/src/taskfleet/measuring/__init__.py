"""Looking: how much waits where, on both brokers, and what runs. What does not answer is None, never zero."""
