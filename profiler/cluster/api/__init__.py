"""One connection to the API server: objects, streams, files fetched from pods."""
