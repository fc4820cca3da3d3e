"""Selections of the rows of a recording, and what is computed from them in one pass."""
