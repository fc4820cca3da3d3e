"""The BPF tiers: compile or find the programs, load and attach them, read their rings."""
