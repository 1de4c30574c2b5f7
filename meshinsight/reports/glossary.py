"""The words of reports and what they mean, for pages that are read far from the documentation. Pure: no I/O."""

from typing import Final

from predictor.models.types import UNEXPLAINED
from profiler.vocabulary.components import DESCRIPTIONS

TERMS: Final = {
    **DESCRIPTIONS,
    UNEXPLAINED: "what the model of a configuration cannot give to a component; it is part of the overhead",
    "filter": "a part of the proxy that is configured in addition, such as access rules; each is a separate component",
    "component": "a part of the overhead with one cause; components are exclusive and add up to the overhead",
    "overhead": "what the sidecars add: the figure with sidecars less the figure without",
    "closure": "how far the sum of the components is from the overhead that was measured without probes",
    "anchor": "one configuration that is measured again all through a run, which shows how the machine's speed changes",
    "anchored": "a figure at the speed that the machine had over the whole run, or during a validation, by the anchor",
    "95 % interval": "the range that holds the estimate of 95 % of other runs of the same command on this machine",
    "temperature": "how much of a sidecar's code and data is in the CPU's caches when a request arrives",
    "hot": "a sidecar whose code and data are still in the CPU's caches, as under constant load",
    "cold": "a sidecar that finds its code and data evicted from the caches, as on a busy node",
    "natural": "a sidecar that idled between requests, whatever its caches then hold",
    "placement": "which CPUs client, sidecars and server run on: chosen by the kernel, apart, or together",
    "variant": "one of several programs, versions, filters or configurations of a proxy that a run compares",
    "cell": "one configuration under one load, measured with and without sidecars",
    "paced": "one request after the other at a fixed distance, so that caches can be emptied in between",
    "hand-over": "one thread wakes the next to go on with the same exchange",
    "exchange": "one request and its response",
    "hop": "one call from a client to a server, with the sidecars on its way",
    "p99": "the 99th percentile: one exchange of a hundred takes longer",
    "vCPU": "one logical processor kept busy all the time",
    "critical path": "the calls that the longest way through a request consists of",
    "extrapolation": "a prediction outside what was measured, which widens its interval",
    "eBPF": "a method that counts the CPU time of every system call and interrupt in the kernel",
    "perf": "a method that samples where the CPUs are; independent of eBPF",
}
"""Meaning by term; a table or legend that has the term links to it."""
