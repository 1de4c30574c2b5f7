"""Predictions for very many call graphs at once: numpy over all graphs of a chunk."""
