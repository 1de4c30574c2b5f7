"""Spans cleaned and paired into hops."""
