"""The Kubernetes side of a run: what is created on the user's cluster, watched, fetched and removed."""
