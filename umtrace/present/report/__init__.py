"""A report is data, a head and sections, which one walk renders into each format."""
