"""What is probed, what this kernel offers for it, and the resulting plan. Attaches nothing."""
