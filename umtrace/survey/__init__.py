"""`umtrace survey`: twenty lines about the umounts of a host, without a path or a name."""
