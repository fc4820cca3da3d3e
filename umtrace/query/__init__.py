"""Choose rows of a recording and go through them once: selections, and what is read by them."""
