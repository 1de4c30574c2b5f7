"""The class of one sample, from the functions of its kernel stack. Pure: no I/O."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from profiler.vocabulary.components import (
    EVENT_WAIT,
    IPC,
    OTHER,
    REDIRECT,
    SOCKET_READ,
    SOCKET_WRITE,
)
from profiler.vocabulary.cpu_states import (
    IDLE,
    PROBE,
    UNRESOLVED,
    USER,
)

_SYSCALL = re.compile(r"_*(?:(?:x64|arm64|ia32|se|do|core)_)?(?:k?sys|do)_(?P<name>\w+)")
_FAMILIES: Final = {
    SOCKET_READ: ("read", "readv", "recvfrom", "recvmsg", "recvmmsg"),
    SOCKET_WRITE: ("write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "sendfile64", "splice"),
    EVENT_WAIT: ("epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "poll", "ppoll", "select", "pselect6"),
}
_FAMILY_OF_SYSCALL: Final = {name: family for family, names in _FAMILIES.items() for name in names}
_FAMILY_OF_FUNCTION: Final = {
    # for stacks that lack the system call's own frame because the compiler made its last call a jump
    **dict.fromkeys(("sock_read_iter", "sock_recvmsg", "tcp_recvmsg"), SOCKET_READ),
    **dict.fromkeys(("sock_write_iter", "sock_sendmsg", "tcp_sendmsg"), SOCKET_WRITE),
    **dict.fromkeys(("ep_poll", "ep_send_events"), EVENT_WAIT),
}
_COMPILER_SUFFIX = re.compile(r"\.(isra|part|constprop|cold|llvm)\b.*")
_SOFTIRQ = re.compile(r"handle_softirqs|__do_softirq|__softirqentry_text_start")
_HARD_INTERRUPT = re.compile(r"(asm_)?(sysvec_\w+|common_interrupt)|el[01]\w*_(irq|interrupt)|gic_handle_irq")
_FAULT = re.compile(r"(asm_)?exc_page_fault|el[01]\w*_[di]a|do_(translation_fault|mem_abort|page_fault)")
_FAULT_OR_INTERRUPT = re.compile(f"{_HARD_INTERRUPT.pattern}|{_FAULT.pattern}")
_TRACING = re.compile(r"bpf_(prog|trace_run|dispatcher)\w*|__(bpf_trace|traceiter)_\w+|trace_\w+|syscall_trace_enter")
_SYSCALL_ENTRY = re.compile(r"do_syscall_64|entry_SYSCALL_64\w*|el0t?_\w*(svc|sync)\w*|do_el0_svc")
_SYSCALL_EXIT = re.compile(r"(syscall_)?exit_to_user_mode\w*|syscall_exit_\w+|do_notify_resume|ret_to_user\w*")
_NETFILTER = re.compile(r"nf_hook_slow\w*|br_nf_\w+|nf_getsockopt")
"""Where packets, and the look-up of their original destination, enter netfilter. Its configuration does not count."""
_PACKET_PATH = re.compile(
    # what netfilter calls to send a packet on its way: nested in it, but not its work
    r"_*dev_queue_xmit\w*|dev_hard_start_xmit|_*netif_r\w+|br_(handle_frame_finish|forward\w*|dev_queue_push_xmit"
    r"|pass_frame_up)|ip_(rcv_finish|local_deliver_finish|output|finish_output\w*)|tcp_v[46]_rcv"
)


@dataclass(frozen=True)
class SampleClass:
    """The class of one sample.

    `folded` is the class as the tracepoints would see it: netfilter, interrupts, faults and probes belong to what they
    happen in, and the code around a system call's tracepoints belongs to the user time around the call.
    """

    name: str
    folded: str


def classify(frames: Sequence[str], in_user_mode: bool = False, is_idle_task: bool = False) -> SampleClass:
    """The class of a sample, from the functions of its kernel stack, innermost first.

    Args:
        frames: function names; empty or "[unknown]" where they were not resolved.
        in_user_mode: the sample was taken in user mode.
        is_idle_task: the sample was taken in process 0.
    """
    if in_user_mode:
        return SampleClass(USER, USER)
    names = [_COMPILER_SUFFIX.sub("", frame) for frame in frames]
    if not any(name and name != "[unknown]" for name in names):
        return SampleClass(UNRESOLVED, UNRESOLVED)
    passing, enclosing = _walk(names)
    if enclosing is None:
        outside = IDLE if is_idle_task else OTHER
        enclosing = SampleClass(outside, USER if passing and not is_idle_task else outside)
    if passing is None and _in_netfilter(names):
        passing = REDIRECT
    return SampleClass(passing or enclosing.name, enclosing.folded)


def _walk(names: Sequence[str]) -> tuple[str | None, SampleClass | None]:
    """What was passed on the way out (a probe, an interrupt, a fault), and the first thing that tells the class."""
    passing = None
    for depth, frame in enumerate(names):
        if enclosing := _enclosing(frame, names[depth - 1] if depth else ""):
            return passing, enclosing
        if passing is None and _TRACING.fullmatch(frame):
            passing = PROBE
        elif passing is None and _FAULT_OR_INTERRUPT.fullmatch(frame):
            passing = OTHER
    return passing, None


def _enclosing(frame: str, inner: str) -> SampleClass | None:
    """The class that `frame` tells, given the frame inside it ("" if none)."""
    if family := _family(frame):
        return SampleClass(family, family)
    in_tracing = _TRACING.fullmatch(inner)
    if _SOFTIRQ.fullmatch(frame) and inner and not in_tracing:
        found = IPC if inner == "net_rx_action" else OTHER
        return SampleClass(found, found)
    if _SYSCALL_ENTRY.fullmatch(frame):
        bare = not inner or in_tracing or _SYSCALL_EXIT.fullmatch(inner) or _FAULT_OR_INTERRUPT.fullmatch(inner)
        return SampleClass(OTHER, USER if bare else OTHER)
    return None


def _family(frame: str) -> str | None:
    if function := _FAMILY_OF_FUNCTION.get(frame):
        return function
    call = _SYSCALL.fullmatch(frame)
    return _FAMILY_OF_SYSCALL.get(call["name"]) if call else None


def _in_netfilter(names: Sequence[str]) -> bool:
    """Whether the innermost frame that tells is one of netfilter."""
    for frame in names:
        if _NETFILTER.fullmatch(frame):
            return True
        if _PACKET_PATH.fullmatch(frame) or _SOFTIRQ.fullmatch(frame) or _family(frame):
            return False
    return False
