"""Mounts that are busy in known ways, and look-alikes: ground truth for EBUSY verdicts."""
