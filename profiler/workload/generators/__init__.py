"""Load generators, one file each, and their connections."""
