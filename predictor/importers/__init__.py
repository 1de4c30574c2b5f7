"""Call graphs from what others recorded: traces, mesh metrics, service graphs, manifests. One file per format."""
