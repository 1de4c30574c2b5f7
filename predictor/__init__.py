"""Predicts the overhead of a call graph from a profile: graphs, models, what-ifs. Needs neither root nor Linux."""
