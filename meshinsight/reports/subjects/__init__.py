"""What is shown of each subject: one file per subject."""
