"""Kernel probes: BPF programs, their loading and reading, and perf sampling."""
