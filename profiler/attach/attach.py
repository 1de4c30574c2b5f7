"""Attaching to targets: measure, then say what was seen of each."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

import numpy as np

from profiler.attach.measuring import Measurement, Seen, Settings, polite
from profiler.attach.messages import Messages, pair
from profiler.attach.overhead import SAMPLE_NS
from profiler.attach.results import (
    COMPLETE,
    PARTIAL,
    ROLE,
    Attached,
    Component,
    Overhead,
    TargetResult,
    WakeUps,
    cpu_components,
    message_times,
    wake_ups_of,
)
from profiler.attach.targets import Target, watched
from profiler.attach.user_time import split_user_time
from profiler.attach.work import Work, added, stand_for_s
from profiler.host.environment import describe_environment
from profiler.probes.perf_sampling import ParsedScript, PerfSampling, SampledTimes, add_up, add_up_user
from profiler.symbols.programs import Program, program_of
from profiler.symbols.stacks import SampledStacks, heaviest, user_stacks
from profiler.symbols.tables import FunctionTables

_FEW_SAMPLES: Final = 500
_FEW_MESSAGES: Final = 100
_FEW_WAKE_UPS: Final = 100
_MANY_LEFT_OUT: Final = 5
_MOSTLY: Final = 0.9


def attach(
    targets: Sequence[Target], settings: Settings, say: Callable[[str], None] = lambda _: None
) -> tuple[Attached, int | None]:
    """Look at running processes; what was found, and the signal that ended it early, if one did.

    Args:
        targets: the processes.
        settings: how long, and what it may cost.
        say: told what is being done.

    Raises:
        UsageError: a process ended before it could be looked at.
        MissingError: neither probes nor sampling work here.
    """
    with ExitStack() as stack:
        lives = stack.enter_context(watched(targets))
        programs = {target: stack.enter_context(program_of(target.pids[0], target.label)) for target in targets}
        say("making ready")
        measurement = stack.enter_context(Measurement(targets, settings))
        say(f"measuring for {settings.duration_s:g} s")
        seen = measurement.run(lives)
        say("reading samples")
        with polite():
            sampled = read_samples(measurement.sampling, targets) if measurement.sampling else {}
            found = tuple(_result(target, programs[target], seen, sampled.get(target)) for target in targets)
            stacks = tuple(_stacks(target.label, programs[target], times) for target, times in sampled.items())
    early = seen.signum is not None or bool(seen.ended)
    return Attached(
        status=PARTIAL if early else COMPLETE,
        duration_s=seen.elapsed_ns / 1e9,
        asked_s=settings.duration_s,
        overhead=_overhead(seen),
        targets=found,
        environment=describe_environment(),
        warnings=(*seen.warnings, *_warnings(seen)),
        stacks=stacks,
    ), seen.signum


def read_samples(perf: PerfSampling, targets: Sequence[Target]) -> dict[Target, SampledTimes]:
    """The samples of each target, those of all other processes left out."""
    lines = perf.script().splitlines()
    addresses = perf.addresses(pid for target in targets for pid in target.pids).splitlines()
    counts = Counter(sample.process for sample in ParsedScript(lines))
    found = {}
    for target in targets:
        roles = dict.fromkeys(target.pids, ROLE)
        times = add_up(ParsedScript(lines), roles, perf.event)
        user, user_samples = add_up_user(addresses, roles)
        found[target] = replace(
            times,
            weights={key: weight for key, weight in times.weights.items() if key[0] == ROLE},
            samples=sum(counts[pid] for pid in target.pids),
            stacks=[stack._replace(process=target.label) for stack in times.stacks if stack.process == ROLE],
            user=user,
            user_samples=user_samples,
        )
    return found


def _result(target: Target, program: Program, seen: Seen, sampled: SampledTimes | None) -> TargetResult:
    works = [seen.work.get(pid, Work()) for pid in target.pids]
    vcpus = sum(work.run_ns / max(1, work.passed_ns) for work in works)
    by_burst = [pair(burst.calls[np.isin(burst.calls["process"], target.pids)], burst.sides) for burst in seen.bursts]
    stand_for = _stand_for_s(target, seen, [found.count + found.untimed for found in by_burst])
    messages = message_times(_all(by_burst), stand_for) if seen.hit_cost else None
    rate = messages.per_second if messages else None
    warnings = []
    components: dict[str, Component] = {}
    probe_share, samples = 0.0, 0
    if sampled is not None:
        user, doubt = split_user_time(program, sampled)
        components, probe_share = cpu_components(sampled, user, vcpus, rate)
        samples = sampled.samples
        warnings += [doubt] if doubt else []
        if samples < _FEW_SAMPLES:
            warnings.append(f"only {samples} samples hit it: shares are rough; look longer, or allow more overhead")
    if messages and messages.count < _FEW_MESSAGES:
        warnings.append(f"only {messages.count} messages were timed: it has little traffic, or look longer")
    wake_ups = _wake_ups(target, seen, stand_for)
    if wake_ups and 0 < wake_ups.count < _FEW_WAKE_UPS:
        warnings.append(f"only {wake_ups.count} wake-ups were recorded: the share that crosses CPUs is rough")
    return TargetResult(
        label=target.label,
        pids=target.pids,
        program=str(program.path),
        proxy=program.proxy,
        ended=any(pid in seen.ended for pid in target.pids),
        vcpus=vcpus,
        cpu_ns_per_message=vcpus * 1e9 / rate if rate else None,
        samples=samples,
        probe_share=probe_share,
        components=components,
        messages=messages,
        wake_ups=wake_ups,
        warnings=tuple(warnings),
    )


def _stacks(label: str, program: Program, sampled: SampledTimes) -> SampledStacks:
    functions = FunctionTables(program.root).functions({place for _, place in sampled.user})
    user = user_stacks({(label, place): weight for (_, place), weight in sampled.user.items()}, functions)
    return SampledStacks(label, sampled.event, heaviest([*sampled.stacks, *user]))


def _stand_for_s(target: Target, seen: Seen, messages: Sequence[int]) -> float:
    """For how many seconds of the whole time the bursts stand, of this target."""
    bursts = [added(burst.work.get(pid, Work()) for pid in target.pids) for burst in seen.bursts]
    return stand_for_s(messages, bursts, added(seen.work.get(pid, Work()) for pid in target.pids))


def _all(by_burst: Sequence[Messages]) -> Messages:
    found = Messages()
    for messages in by_burst:
        found.add(messages)
    return found


def _wake_ups(target: Target, seen: Seen, seconds: float) -> WakeUps | None:
    if not seen.hit_cost or seen.no_wake_ups:
        return None
    recorded = [burst.wake_ups[np.isin(burst.wake_ups["process"], target.pids)] for burst in seen.bursts]
    return wake_ups_of(recorded, seconds)


def _overhead(seen: Seen) -> Overhead:
    ledger, elapsed_ns = seen.ledger, max(1, seen.elapsed_ns)
    cost = seen.hit_cost
    return Overhead(
        max_ratio=ledger.max_ratio,
        ratio=ledger.ratio(elapsed_ns),
        probes_ratio=ledger.probes_ns / elapsed_ns,
        sampling_ratio=ledger.sampling_ns / elapsed_ns,
        tool_ratio=ledger.tool_cpu_ns / ledger.cpus / elapsed_ns,
        startup_cpu_s=seen.startup_cpu_s,
        bursts=len(seen.bursts),
        attached_ratio=seen.attached_ns / elapsed_ns,
        frequency_hz=ledger.frequency_hz,
        hit_ns=cost.chosen_ns if cost else None,
        other_hit_ns=cost.other_ns if cost else None,
        sample_ns=SAMPLE_NS,
        waking_hit_ns=cost.waking_ns if cost and not seen.no_wake_ups else None,
    )


def _warnings(seen: Seen) -> list[str]:
    found = []
    if seen.no_wake_ups:
        found.append(f"wake-ups are not counted: {seen.no_wake_ups}")
    if seen.hit_cost and not seen.bursts:
        found.append("no burst fitted below the bound, so no message was timed: look longer, or allow more overhead")
    if 0 < seen.sampled_ns < _MOSTLY * seen.elapsed_ns:
        share = seen.sampled_ns / seen.elapsed_ns
        found.append(f"CPU time was sampled for {share:.0%} of the time only: the bound allowed no more")
    if seen.left_out > _MANY_LEFT_OUT:
        found.append(f"{seen.left_out} bursts had more socket calls than there is room for, and are left out")
    return found
