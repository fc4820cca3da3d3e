"""What is probed, what this kernel offers for it, and the plan that follows. Attaches nothing."""
