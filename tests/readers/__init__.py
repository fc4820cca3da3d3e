"""What readers of recordings do with anything they are given."""
