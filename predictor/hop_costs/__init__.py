"""What one hop costs at a size, load and temperature, by component."""
