"""What runs inside the pods of a run: `python3 -m profiler.cluster.agent <command>`."""
