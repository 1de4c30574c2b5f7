"""What is shown of each subject, and how each format renders it."""
