"""From readings to the cells of a profile."""
