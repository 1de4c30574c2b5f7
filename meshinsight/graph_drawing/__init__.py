"""A call graph as a drawing: which edges, where, and the shapes. Pure: no I/O."""
