"""Which changes of sidecars meet limits of latency, CPU and memory, with as few changes as possible."""
