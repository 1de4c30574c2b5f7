"""A mesh's metrics to a call graph."""
