"""The profile document on disk: its schema, reading, validation and atomic writing."""
