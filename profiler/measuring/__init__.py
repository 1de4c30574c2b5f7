"""One run: hops deployed, windows of load measured, finished blocks kept."""
