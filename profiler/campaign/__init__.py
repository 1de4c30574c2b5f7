"""Which cells to measure, in which order, and the loop that measures them."""
