"""Files from outside and files of ours: reading text, YAML and JSON within limits, and writing atomically."""
