"""Pods on one machine: network namespaces, traffic capture, supervised processes, and their removal."""
