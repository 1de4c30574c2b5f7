"""Scenarios: changes of a graph or of component costs, and their comparison."""
