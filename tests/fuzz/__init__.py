"""Structure-aware fuzzing of everything that reads: ``python -m tests.fuzz --help``."""
