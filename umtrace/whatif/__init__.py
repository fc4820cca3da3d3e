"""`umtrace whatif`: what a recorded load would wait for if the kernel put mounts in another way."""
