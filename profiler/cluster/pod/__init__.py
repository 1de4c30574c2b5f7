"""What runs inside the pods of a run: `python3 -m profiler.cluster.pod <command>`."""
