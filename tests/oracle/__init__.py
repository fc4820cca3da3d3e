"""A workload that knows nothing of umtrace, and what every tier says of it."""
