"""Stacks to classes, and both readings to components, where the answer is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.attribution.cpu_classes import (
    components_by_role_from_states,
    components_from_samples,
    components_from_states,
    disagreement_points,
    is_foreign,
    shares,
    without_probes,
)
from profiler.probes.stack_classes import classify
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    EVENT_WAIT,
    FILTER_SERVICE,
    IPC,
    OTHER,
    REDIRECT,
    SERVER_SIDECAR,
    SHARED_PROXY,
    SOCKET_READ,
    SOCKET_WRITE,
    TUNNEL,
    TUNNELS,
    WAYPOINT_PROXY,
)
from profiler.vocabulary.cpu_states import (
    CLASSES,
    FILTER_SERVER,
    HALTED,
    IDLE,
    KERNEL,
    KSOFTIRQD,
    NEIGHBOUR,
    PROBE,
    REST,
    ROLES,
    SOFTIRQ_NET_RX,
    SOFTIRQ_OTHER,
    STATES,
    SYSCALL_OTHER,
    TOOL,
    UNRESOLVED,
    USER,
)

ENTRY = ["do_syscall_64", "entry_SYSCALL_64_after_hwframe"]
ARM_ENTRY = ["invoke_syscall", "el0_svc_common.constprop.0", "do_el0_svc", "el0_svc", "el0t_64_sync_handler"]
SEND = ["tcp_write_xmit", "tcp_sendmsg", "__sys_sendto", "__x64_sys_sendto", *ENTRY]
RECEIVE = ["tcp_v4_rcv", "process_backlog", "__napi_poll", "net_rx_action", "handle_softirqs", "do_softirq.part.0"]
IDLE_LOOP = ["default_idle", "default_idle_call", "do_idle", "cpu_startup_entry"]
TIMER = ["sysvec_apic_timer_interrupt", "asm_sysvec_apic_timer_interrupt"]


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ([*SEND], SOCKET_WRITE),
        (["do_iter_readv_writev", "vfs_writev", "do_writev", *ENTRY], SOCKET_WRITE),
        (["__check_object_size", "____sys_sendmsg", "___sys_sendmsg", "__sys_sendmsg", *ENTRY], SOCKET_WRITE),
        (["tcp_recvmsg_locked", "tcp_recvmsg", "sock_recvmsg", "__sys_recvfrom", *ENTRY], SOCKET_READ),
        (["fdget_pos", "ksys_read", *ENTRY], SOCKET_READ),
        (["ep_item_poll.isra.0", "ep_send_events", "do_epoll_wait", "__x64_sys_epoll_wait", *ENTRY], EVENT_WAIT),
        (["do_epoll_ctl", "__x64_sys_epoll_ctl", *ENTRY], EVENT_WAIT),
        (["core_sys_select", *ENTRY], EVENT_WAIT),
        (["futex_wait", "do_futex", "__x64_sys_futex", *ENTRY], OTHER),
        (["do_open_execat", "__x64_sys_execve", *ENTRY], OTHER),
        ([*RECEIVE, "__dev_queue_xmit", *SEND], IPC),
        ([*RECEIVE, "run_ksoftirqd", "smpboot_thread_fn", "kthread", "ret_from_fork"], IPC),
        (["rcu_core", "handle_softirqs", "__irq_exit_rcu", *TIMER], OTHER),
        (["handle_softirqs", "do_softirq.part.0", "__dev_queue_xmit", *SEND], SOCKET_WRITE),
        (["process_one_work", "worker_thread", "kthread", "ret_from_fork"], OTHER),
        (["tcp_sendmsg", "__sys_sendto", "__arm64_sys_sendto", *ARM_ENTRY], SOCKET_WRITE),
        (["ep_poll", "do_epoll_wait", "__arm64_sys_epoll_pwait", *ARM_ENTRY], EVENT_WAIT),
        (["net_rx_action", "handle_softirqs", "__do_softirq", "____do_softirq", "call_on_irq_stack"], IPC),
    ],
)
def test_a_stack_is_of_the_class_of_its_innermost_telling_frame(stack: list[str], expected: str) -> None:
    found = classify(stack)
    assert (found.name, found.folded) == (expected, expected)


@pytest.mark.parametrize(
    ("stack", "folded"),
    [
        (["nf_conntrack_in", "nf_hook_slow", "__ip_local_out", *SEND], SOCKET_WRITE),
        (["ip_route_me_harder", "nf_nat_ipv4_local_fn", "nf_hook_slow", "ip_local_out", *SEND], SOCKET_WRITE),
        (["ipt_do_table", "nf_hook_slow", "ip_rcv", *RECEIVE, *SEND], IPC),
        (["br_validate_ipv4", "br_nf_forward_ip.part.0", "nf_hook_slow", "__br_forward", *RECEIVE, *SEND], IPC),
        (["getorigdst", "nf_getsockopt", "ip_getsockopt", "do_sock_getsockopt", "__x64_sys_getsockopt", *ENTRY], OTHER),
    ],
)
def test_netfilter_is_redirect_and_folds_into_what_it_is_nested_in(stack: list[str], folded: str) -> None:
    found = classify(stack)
    assert (found.name, found.folded) == (REDIRECT, folded)


def test_a_packet_that_bridge_netfilter_sends_on_is_not_redirect() -> None:
    onward = ["veth_xmit", "dev_hard_start_xmit", "br_forward_finish", "br_handle_frame_finish", "br_nf_hook_thresh"]
    assert classify([*onward, "br_nf_pre_routing_finish", *RECEIVE, *SEND]).name == IPC


def test_setting_netfilter_up_is_not_redirect() -> None:
    assert classify(["nf_conntrack_pernet_init", "setup_net", "copy_net_ns", "__x64_sys_unshare", *ENTRY]).name == OTHER


@pytest.mark.parametrize(
    ("stack", "folded"),
    [
        (["handle_irq_event", "__common_interrupt", "common_interrupt", "asm_common_interrupt", *SEND], SOCKET_WRITE),
        (
            [
                "clear_page_erms",
                "handle_mm_fault",
                "exc_page_fault",
                "asm_exc_page_fault",
                "_copy_to_iter",
                "ksys_read",
            ],
            SOCKET_READ,
        ),
        (["handle_mm_fault", "exc_page_fault", "asm_exc_page_fault"], USER),
        (["irqentry_exit_to_user_mode", "asm_sysvec_reschedule_ipi"], USER),
        (["do_syscall_64", "entry_SYSCALL_64_after_hwframe"], USER),
        (["exit_to_user_mode_loop", *ENTRY], USER),
        (["x64_sys_call", *ENTRY], OTHER),
    ],
)
def test_what_tracepoints_cannot_see_is_other_and_folds_into_its_surroundings(stack: list[str], folded: str) -> None:
    found = classify(stack)
    assert (found.name, found.folded) == (OTHER, folded)


@pytest.mark.parametrize(
    ("stack", "folded"),
    [
        (
            ["bpf_prog_9f45_on_sys_enter", "bpf_trace_run2", "__bpf_trace_sys_enter", "syscall_trace_enter", *ENTRY],
            USER,
        ),
        (
            ["ktime_get_mono_fast_ns", "bpf_prog_a09c_on_softirq_entry", "bpf_trace_run1", "handle_softirqs", *SEND],
            SOCKET_WRITE,
        ),
        (["bpf_trace_run4", "__traceiter_sched_switch", "__schedule", "do_epoll_wait", *ENTRY], EVENT_WAIT),
    ],
)
def test_a_probe_is_of_a_class_of_its_own_and_folds_into_its_surroundings(stack: list[str], folded: str) -> None:
    found = classify(stack)
    assert (found.name, found.folded) == (PROBE, folded)


def test_the_idle_loop_is_idle_until_a_softirq_runs_in_it() -> None:
    assert classify(IDLE_LOOP, is_idle_task=True).name == IDLE
    assert classify([*RECEIVE, *TIMER, *IDLE_LOOP], is_idle_task=True).name == IPC
    assert classify([*TIMER, *IDLE_LOOP], is_idle_task=True).folded == IDLE


def test_a_sample_in_user_mode_is_user_whatever_its_stack() -> None:
    assert classify([], in_user_mode=True).name == USER


def test_a_kernel_sample_without_names_is_unresolved() -> None:
    assert classify([]).name == UNRESOLVED
    assert classify(["[unknown]", ""]).name == UNRESOLVED


@given(st.lists(st.text(max_size=30) | st.sampled_from([*SEND, *RECEIVE, *TIMER, *IDLE_LOOP, "nf_hook_slow"])))
def test_every_stack_falls_in_exactly_one_class(stack: list[str]) -> None:
    found = classify(stack)
    assert found.name in CLASSES
    assert found.folded in CLASSES
    assert REDIRECT != found.folded != PROBE


def test_user_time_is_a_component_of_sidecars_and_other_elsewhere() -> None:
    times = {(CLIENT_SIDECAR, USER): 5.0, (SERVER_SIDECAR, USER): 7.0, (CLIENT_APP, USER): 11.0}
    assert components_from_states(times) == {USER: 12.0, OTHER: 11.0}
    assert components_from_samples(times) == {USER: 12.0, OTHER: 11.0}


def test_who_has_no_part_in_the_measurement_counts_only_where_a_softirq_interrupts_it() -> None:
    times = {(REST, USER): 13.0, (REST, SOCKET_WRITE): 2.0, (REST, SYSCALL_OTHER): 3.0, (REST, KERNEL): 5.0}
    assert components_from_states({**times, (REST, SOFTIRQ_OTHER): 7.0}) == {OTHER: 7.0}
    assert components_from_samples({(REST, USER): 13.0, (REST, OTHER): 4.0, (REST, UNRESOLVED): 1.0}) == {}
    assert components_from_samples({(REST, IPC): 2.0, (REST, REDIRECT): 3.0}) == {IPC: 2.0, REDIRECT: 3.0}


def test_network_receive_work_is_ipc_in_any_role_but_the_ends_of_tunnels() -> None:
    roles = [role for role in ROLES if role not in TUNNELS]
    times = dict.fromkeys(((role, SOFTIRQ_NET_RX) for role in roles), 1.0)
    assert components_from_states(times) == {IPC: len(roles)}
    assert components_from_samples(dict.fromkeys(((role, IPC) for role in roles), 1.0)) == {IPC: len(roles)}


def test_neighbours_the_tool_and_halted_cpus_do_not_count() -> None:
    times = {(NEIGHBOUR, USER): 1.0, (TOOL, SOCKET_READ): 2.0, (TOOL, SOFTIRQ_OTHER): 3.0, (IDLE, HALTED): 4.0}
    assert components_from_states(times) == {}
    assert components_from_samples({(NEIGHBOUR, USER): 1.0, (TOOL, OTHER): 2.0, (IDLE, IDLE): 3.0}) == {}


def test_waking_a_halted_cpu_is_ipc() -> None:
    assert components_from_states({(IDLE, KERNEL): 3.0, (KSOFTIRQD, KERNEL): 5.0}) == {IPC: 3.0, OTHER: 5.0}


def test_what_has_no_component_of_its_own_is_other() -> None:
    times = {(CLIENT_SIDECAR, SYSCALL_OTHER): 1.0, (CLIENT_SIDECAR, KERNEL): 2.0, (IDLE, SOFTIRQ_OTHER): 4.0}
    assert components_from_states(times) == {OTHER: 7.0}
    assert components_from_samples({(CLIENT_APP, PROBE): 1.0, (CLIENT_APP, UNRESOLVED): 2.0}) == {OTHER: 3.0}


@given(st.dictionaries(st.tuples(st.sampled_from(ROLES), st.sampled_from(STATES)), st.integers(1, 10**12)))
def test_components_add_up_to_all_time_that_was_used(times: dict[tuple[str, str], int]) -> None:
    used = {
        key: spent
        for key, spent in times.items()
        if key[0] not in (NEIGHBOUR, TOOL) and key[1] != HALTED and not is_foreign(*key)
    }
    received = sum(
        spent for (role, state), spent in times.items() if role in (NEIGHBOUR, TOOL) and state == SOFTIRQ_NET_RX
    )
    assert sum(components_from_states(times).values()) == pytest.approx(sum(used.values()) + received)


def test_user_time_of_a_shared_proxy_is_that_of_a_sidecar() -> None:
    assert components_from_states({(SHARED_PROXY, USER): 3.0}) == {USER: 3.0}


def test_the_ends_of_tunnels_are_one_component_by_both_methods() -> None:
    states = {(place, state): 1.0 for place in TUNNELS for state in (USER, SOCKET_READ, SOFTIRQ_NET_RX, SYSCALL_OTHER)}
    assert components_from_states({**states, (WAYPOINT_PROXY, USER): 3.0}) == {TUNNEL: 8.0, USER: 3.0}
    classes = {(place, kind): 1.0 for place in TUNNELS for kind in (USER, IPC, REDIRECT, PROBE)}
    assert components_from_samples(classes) == {TUNNEL: 8.0}


def test_what_a_filters_server_needs_is_kept_for_the_filter() -> None:
    times = {(FILTER_SERVICE, USER): 1.0, (FILTER_SERVICE, SOCKET_READ): 2.0, (FILTER_SERVICE, SOFTIRQ_NET_RX): 4.0}
    assert components_from_states(times) == {FILTER_SERVER: 3.0, IPC: 4.0}


def test_roles_keep_their_components_apart() -> None:
    times = {(CLIENT_SIDECAR, SOCKET_READ): 1.0, (CLIENT_APP, SOCKET_READ): 2.0}
    assert components_by_role_from_states(times) == {CLIENT_SIDECAR: {SOCKET_READ: 1.0}, CLIENT_APP: {SOCKET_READ: 2.0}}


def test_disagreement_is_the_difference_of_shares_in_points() -> None:
    found = disagreement_points({USER: 80, IPC: 20}, {USER: 150, IPC: 40, REDIRECT: 10})
    assert found == pytest.approx({USER: 5, IPC: 0, REDIRECT: -5})


def test_shares_of_nothing_are_no_shares() -> None:
    assert shares({USER: 0.0}) == {}


def test_what_probes_took_is_taken_off_where_they_were_hit() -> None:
    times_ns = {
        (CLIENT_SIDECAR, USER): 10_000.0,
        (CLIENT_SIDECAR, SOCKET_READ): 5_000.0,
        (CLIENT_SIDECAR, SOFTIRQ_NET_RX): 3_000.0,
        (SERVER_SIDECAR, SOFTIRQ_NET_RX): 1_000.0,
    }
    entries = {(CLIENT_SIDECAR, SOCKET_READ): 10, (CLIENT_SIDECAR, SOFTIRQ_NET_RX): 5}
    found = without_probes(times_ns, entries, hits=38, hit_ns=100.0)
    assert found[CLIENT_SIDECAR, USER] == 10_000 - 1_000
    assert found[CLIENT_SIDECAR, SOCKET_READ] == 5_000 - 1_000
    assert found[CLIENT_SIDECAR, SOFTIRQ_NET_RX] == 3_000 - 2 * 500 - 600
    assert found[SERVER_SIDECAR, SOFTIRQ_NET_RX] == 1_000 - 200
    assert sum(times_ns.values()) - sum(found.values()) == 38 * 100


def test_probes_take_no_more_than_there_is() -> None:
    assert without_probes({(CLIENT_APP, SOCKET_READ): 50.0}, {(CLIENT_APP, SOCKET_READ): 9}, 18, 100.0) == {
        (CLIENT_APP, SOCKET_READ): 0.0
    }
