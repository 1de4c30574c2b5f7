"""What to measure and in which order: settings, matrix files, cells, blocks, the planner of a time budget."""
