"""Which umounts hang right now, from /proc alone: `umtrace stuck`."""
