"""The life of a run on a cluster: created, followed, fetched, removed."""
