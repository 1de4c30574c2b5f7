"""Servers of hops, one file each."""
