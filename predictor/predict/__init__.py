"""From a call graph and a model to the overhead nobody has measured yet."""
