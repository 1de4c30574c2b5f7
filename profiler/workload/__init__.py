"""Servers and load generators behind one interface, and what a round of load returns."""
