"""Real parts for the tests: servers on free loopback ports, stopped by whoever started them."""
