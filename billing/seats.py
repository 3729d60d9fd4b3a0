"""The number of seats."""
