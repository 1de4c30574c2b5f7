"""Whose CPU time it was and what for: roles, states and sample classes. Pure."""

from typing import Final

from profiler.vocabulary.components import EVENT_WAIT, IPC, OTHER, PLACES, REDIRECT, SOCKET_READ, SOCKET_WRITE

NEIGHBOUR: Final = "neighbour"
"""Role of the processes that keep CPUs awake or caches cold; never counted as cost."""
TOOL: Final = "tool"
"""Role of this program and its helpers; never counted as cost."""
KSOFTIRQD: Final = "ksoftirqd"
IDLE: Final = "idle"
"""Role of the idle loop, and the class of its samples."""
REST: Final = "rest"
"""Role of every process that was given none."""
ROLES: Final = (*PLACES, NEIGHBOUR, TOOL, KSOFTIRQD, IDLE, REST)
USER: Final = "user"
"""State and class; of a sidecar it is a component too, which the caller splits into proxy_core and parsing."""
SYSCALL_OTHER: Final = "syscall_other"
KERNEL: Final = "kernel"
"""State of threads that make no system calls (kernel threads, the idle loop), and of those not seen making one yet."""
SOFTIRQ_NET_RX: Final = "softirq_net_rx"
SOFTIRQ_OTHER: Final = "softirq_other"
HALTED: Final = "halted"
"""State of a CPU with nothing to do; the interrupt that ends it is still in it."""
STATES: Final = (
    USER,
    SOCKET_READ,
    SOCKET_WRITE,
    EVENT_WAIT,
    SYSCALL_OTHER,
    KERNEL,
    SOFTIRQ_NET_RX,
    SOFTIRQ_OTHER,
    HALTED,
)
"""Every state, in the order of their numbers in cputime.bpf.c. A softirq's state replaces the one it interrupts."""
PROBE: Final = "probe"
"""Class of samples inside a BPF program: the tool's own cost."""
UNRESOLVED: Final = "unresolved"
"""Class of kernel samples without a usable stack."""
CLASSES: Final = (USER, IPC, REDIRECT, SOCKET_READ, SOCKET_WRITE, EVENT_WAIT, OTHER, PROBE, IDLE, UNRESOLVED)
FILTER_SERVER: Final = "filter_server"
"""What a server needs that a filter asks, for the caller to give to that filter."""
