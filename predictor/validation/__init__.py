"""Predictions held against the truth: a graph deployed for real, measured, and scored."""
