"""Spans as columns, and what their attributes mean."""
