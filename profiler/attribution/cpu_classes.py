"""Whose CPU time it was and what for: roles, states, sample classes, and the components both end in. Pure: no I/O.

Two methods look at the same CPU time. The tracepoints (probes/cputime.py) give exact time by (role, state); perf
sampling (probes/perf_sampling.py) gives samples whose kernel stack says what ran. Each ends in the same components
here, so that their disagreement can be printed.
"""

from collections.abc import Mapping
from typing import Final

from profiler.vocabulary.components import (
    EVENT_WAIT,
    FILTER_SERVICE,
    IPC,
    OTHER,
    PLACES,
    REDIRECT,
    SIDECARS,
    SOCKET_READ,
    SOCKET_WRITE,
    TUNNEL,
    TUNNELS,
)
from profiler.vocabulary.cpu_states import (
    FILTER_SERVER,
    HALTED,
    IDLE,
    KERNEL,
    NEIGHBOUR,
    REST,
    SOFTIRQ_NET_RX,
    SOFTIRQ_OTHER,
    TOOL,
    USER,
)

_COMPONENT_OF_STATE: Final = {
    SOCKET_READ: SOCKET_READ,
    SOCKET_WRITE: SOCKET_WRITE,
    EVENT_WAIT: EVENT_WAIT,
    SOFTIRQ_NET_RX: IPC,
}
_COMPONENT_OF_CLASS: Final = {kind: kind for kind in (IPC, REDIRECT, SOCKET_READ, SOCKET_WRITE, EVENT_WAIT)}
_UNUSED: Final = (HALTED, IDLE)
"""State and class of CPU time that nobody used."""

_OF_ANYBODY: Final = (SOFTIRQ_NET_RX, SOFTIRQ_OTHER, IPC, REDIRECT)
"""What a process or kernel thread without part in the measurement may do for the mesh: softirqs that interrupt it."""


def components_from_states(time_ns: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """CPU nanoseconds by component (and `user`, of the sidecars) from tracepoint times by (role, state).

    Network receive work counts as ipc whosever context it ran in, and so does the way in and out of a CPU's halt, which
    a wake-up costs where the CPU was idle. Halted CPUs, the neighbours, the tool and processes without part in the
    measurement do not count otherwise, so the result adds up to what the mesh and its applications cost the machine.
    """
    return _total(components_by_role_from_states(time_ns))


def components_from_samples(time_ns: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """CPU nanoseconds by component (and `user`, of the sidecars) from sampled times by (role, class).

    Counts what `components_from_states` counts, but for the idle loop: samples cannot tell a halted CPU from one on its
    way in or out. Probes and unresolved samples are part of `other`.
    """
    return _total(components_by_role_from_samples(time_ns))


def components_by_role_from_states(time_ns: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    """`components_from_states` for each role on its own."""
    return _by_role(time_ns, _COMPONENT_OF_STATE)


def components_by_role_from_samples(time_ns: Mapping[tuple[str, str], float]) -> dict[str, dict[str, float]]:
    """`components_from_samples` for each role on its own."""
    return _by_role(time_ns, _COMPONENT_OF_CLASS)


def _by_role(time_ns: Mapping[tuple[str, str], float], components: Mapping[str, str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (role, kind), spent_ns in time_ns.items():
        component = components.get(kind, OTHER)
        if role in SIDECARS and kind == USER:
            component = USER
        elif role in TUNNELS:
            component = TUNNEL
        elif role == FILTER_SERVICE and component != IPC:
            component = FILTER_SERVER
        elif role == IDLE and kind == KERNEL:
            component = IPC
        if kind in _UNUSED or is_foreign(role, kind) or (role in (NEIGHBOUR, TOOL) and component != IPC):
            continue
        parts = found.setdefault(role, {})
        parts[component] = parts.get(component, 0.0) + spent_ns
    return found


def without_probes(
    time_ns: Mapping[tuple[str, str], float], entries: Mapping[tuple[str, str], int], hits: int, hit_ns: float
) -> dict[tuple[str, str], float]:
    """Tracepoint times by (role, state) without what the probes took, where a hit takes `hit_ns`.

    A system call has two hits, of which half is in it and half around it, in user time; a softirq has both in it. The
    other hits (switches, wake-ups, the ends of halts) are part of handing over, so they are taken off network receive
    work in proportion. No time gets below zero.
    """
    taken: dict[tuple[str, str], float] = {}
    for (role, state), count in entries.items():
        for kind in (state, state if state in (SOFTIRQ_NET_RX, SOFTIRQ_OTHER) else USER):
            taken[role, kind] = taken.get((role, kind), 0.0) + count * hit_ns
    others = max(0, hits - 2 * sum(entries.values()))
    received = {key: spent_ns for key, spent_ns in time_ns.items() if key[0] in PLACES and key[1] == SOFTIRQ_NET_RX}
    total_ns = sum(received.values())
    for key, spent_ns in received.items():
        taken[key] = taken.get(key, 0.0) + (others * hit_ns * spent_ns / total_ns if total_ns else 0.0)
    return {key: max(0.0, spent_ns - taken.get(key, 0.0)) for key, spent_ns in time_ns.items()}


def is_foreign(role: str, kind: str) -> bool:
    """Whether it is time of a process or kernel thread without part in the measurement: never a cost of the mesh."""
    return role == REST and kind not in (*_OF_ANYBODY, *_UNUSED)


def _total(by_role: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for parts in by_role.values():
        for component, spent_ns in parts.items():
            total[component] = total.get(component, 0.0) + spent_ns
    return total


def shares(components: Mapping[str, float]) -> dict[str, float]:
    """Each component's share of their sum, in [0, 1]; empty if the sum is zero."""
    total = sum(components.values())
    return {name: value / total for name, value in components.items()} if total else {}


def disagreement_points(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """By how many percentage points each component's share is larger in `first` than in `second`."""
    ours, theirs = shares(first), shares(second)
    return {name: 100 * (ours.get(name, 0.0) - theirs.get(name, 0.0)) for name in {**ours, **theirs}}
