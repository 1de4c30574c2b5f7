"""From a profile to a model of what a hop costs, and back from its stored form."""
