"""Whose umount it was: pure functions from paths and learnt facts to an owner."""
