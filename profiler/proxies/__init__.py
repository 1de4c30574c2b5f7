"""Sidecar proxies behind one interface, one file per proxy."""
