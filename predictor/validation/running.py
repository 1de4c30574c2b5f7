"""One validation from beginning to end: predict, deploy, measure, score."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from predictor.graph.types import CallGraph
from predictor.hop_costs.options import Options
from predictor.models.types import FittedModel
from predictor.predict.predict import predict
from predictor.validation.anchoring import anchor_cells, at_speed_of, changed_since, model_of
from predictor.validation.deploying import (
    application,
    applications_of,
    as_deployed,
    handling_ns_of,
    node_use,
    plain_entries,
    without_mesh,
)
from predictor.validation.measuring import Report, Rounds, failures, find_rate, measure, not_held, require_held
from predictor.validation.scoring import PERCENTILES, measured_baseline, measured_saving, score_saving, score_variant
from predictor.validation.types import Anchor, Validation
from predictor.what_if.comparison import saving
from predictor.what_if.scenarios import AS_IT_IS, Scenario
from profiler.errors import MeshInsightError, UsageError
from profiler.host.environment import describe_environment
from profiler.host.hop_cpus import cpus_for_hops, warnings_of_cpus
from profiler.measuring.applications import AnchorCell, AnchorReading, ApplicationBench
from profiler.profile.machine import machine_differences
from profiler.profile.types import Profile
from profiler.proxies.registry import find_proxy
from profiler.testbed.application import Application
from profiler.testbed.run import Run, measuring_lock
from profiler.vocabulary.hop import APART, FREE, TOGETHER
from profiler.vocabulary.temperature import HOT
from profiler.vocabulary.usual import PLACEMENT, PROXY

_SERVICE_BYTES: Final = 30 << 20
_SIDECAR_BYTES: Final = 70 << 20
_LEAST_RPS: Final = 1.0
_PLACED: Final = {
    FREE: "left processes to the scheduler",
    APART: "pinned processes apart",
    TOGETHER: "pinned processes to one CPU",
}


@dataclass(frozen=True)
class Settings:
    """How to validate. `rate_rps` None: the graph's own, or what this machine holds, whichever is less."""

    rate_rps: float | None = None
    rounds: int = 16
    seconds: float = 0.5
    temperature: str = HOT
    placement: str = PLACEMENT
    seed: int = 1


@dataclass(frozen=True)
class Case:
    """One variant of the graph: how it is deployed, and what it is compared with."""

    name: str
    graph: CallGraph
    options: Options
    deployed: Application
    baseline: str


def validate(
    graph: CallGraph, profile: Profile, model: FittedModel, scenarios: Sequence[Scenario], options: Options,
    settings: Settings, report: Report,
) -> Validation:  # fmt: skip
    """Deploy, measure and score a graph and its what-ifs.

    Raises:
        UsageError: what cannot be deployed or predicted, before anything is started.
        MeshInsightError: the run failed.
    """
    _require_rates(graph)
    model = model_of(model, settings.temperature, settings.placement)
    cases, deployed = _cases(graph, scenarios, options, settings.placement)
    profiled = anchor_cells([case.graph for case in cases], model, profile)
    # What the profile lacks is an error before anything is started.
    first = [predict(case.graph, model, replace(case.options, samples=0, intervals=False)) for case in cases]
    warnings = (
        *_other_machine(profile.environment, describe_environment()),
        *_other_build(profile, options.proxy or PROXY),
        *_other_placement([name for one in first for name in one.placements], settings.placement),
    )
    _require_memory(deployed)
    wanted_rps = settings.rate_rps or sum(entry.rate_rps for entry in graph.ingress)
    shares = {entry.id: entry.rate_rps for entry in graph.ingress}
    cpus = len(os.sched_getaffinity(0))
    report("setting up the testbed", 0.0)
    with measuring_lock(), Run.start() as run:
        run.suspend_autogroup()
        with ApplicationBench(run, deployed, shares, settings.temperature, tuple(profiled)) as bench:
            rate = settings.rate_rps
            if rate is None:
                report("looking for a rate that this machine holds", 0.0)
                rate = find_rate(bench, (cases[0].baseline, AS_IT_IS), wanted_rps, cpus)
            else:
                report("trying the rate", 0.0)
                require_held(bench, (cases[0].baseline, AS_IT_IS), rate)
            if rate < _LEAST_RPS and rate < wanted_rps:
                raise MeshInsightError(f"{graph.name}: this machine holds less than one request per second of it")
            _require_carried(cases, model, rate, cpus)
            warnings += (*filter(None, [bench.neighbours.coarse]), *warnings_of_cpus(cpus_for_hops()))
            found = measure(bench, tuple(deployed), rate, settings.rounds, settings.seconds, report, settings.seed)
    _require_answers(found, rate)
    scored = _scored(graph, cases, model, found, rate, profiled, settings)
    return replace(scored, warnings=(*warnings, *changed_since(scored.anchors)))


def _cases(
    graph: CallGraph, scenarios: Sequence[Scenario], options: Options, placement: str
) -> tuple[list[Case], dict[str, Application]]:
    """The graph as it is and its what-ifs, and all that is deployed for them by name, equal baselines once."""
    spoken = applications_of(graph)
    deployed: dict[str, Application] = {}
    cases = []
    for scenario in (Scenario(AS_IT_IS), *scenarios):
        changed = plain_entries(graph if scenario.name == AS_IT_IS else scenario.graph(graph))
        chosen = options if scenario.name == AS_IT_IS else scenario.options(options)
        if scenario.speedup:
            raise UsageError(f"{scenario.place}: {scenario.name}: a speed-up cannot be built, so not validated either")
        made = application(changed, spoken, chosen.proxy or PROXY, chosen.transport, placement)
        bare = without_mesh(made)
        known = next((name for name, one in deployed.items() if one == bare), None)
        baseline = known or (f"without sidecars, {scenario.name}" if deployed else "without sidecars")
        deployed.setdefault(baseline, bare)
        deployed[scenario.name] = made
        cases.append(Case(scenario.name, changed, chosen, made, baseline))
    return cases, deployed


def _scored(
    graph: CallGraph, cases: Sequence[Case], model: FittedModel, found: Rounds, rate_rps: float,
    profiled: Mapping[AnchorCell, AnchorReading], settings: Settings,
) -> Validation:  # fmt: skip
    anchors = tuple(Anchor(cell, before, tuple(found.anchors[cell])) for cell, before in profiled.items())
    slow = [anchor.cell.name for anchor in anchors if anchor.measured.latency_ns <= 0.0]
    if slow:
        raise MeshInsightError(
            f"anchor {', '.join(slow)}: less than nothing was measured, the machine is too noisy; use more --rounds"
        )
    now = at_speed_of(model, anchors)
    cpus = len(os.sched_getaffinity(0))
    baseline = measured_baseline(found, cases[0].baseline, rate_rps, PERCENTILES)
    use = node_use(settings.temperature, baseline.vcpu, cpus)
    handling_ns = handling_ns_of(graph, rate_rps, baseline.vcpu, baseline.by_service_vcpu)
    placed = {case.name: as_deployed(case.graph, rate_rps, cpus, use, handling_ns) for case in cases}
    raw, anchored = (
        {case.name: predict(placed[case.name], one, case.options) for case in cases} for one in (model, now)
    )
    variants = tuple(
        score_variant(case.name, case.baseline, found, raw[case.name], anchored[case.name], rate_rps) for case in cases
    )
    savings = tuple(
        score_saving(
            case.name,
            saving(raw[AS_IT_IS], raw[case.name]),
            saving(anchored[AS_IT_IS], anchored[case.name]),
            measured_saving(found, variants[0], variant, rate_rps, one_baseline=case.baseline == cases[0].baseline),
        )
        for case, variant in zip(cases[1:], variants[1:], strict=True)
    )
    return Validation(
        graph=graph.name,
        temperature=settings.temperature,
        placement=settings.placement,
        rate_rps=rate_rps,
        rounds=settings.rounds,
        seconds=settings.seconds,
        services=len(graph.services),
        baseline=baseline,
        anchors=anchors,
        variants=variants,
        savings=savings,
        environment=describe_environment(),
        profile_run_id=model.run_id,
    )


def _other_machine(profiled: Mapping[str, object], here: Mapping[str, object]) -> tuple[str, ...]:
    """What to say where the profile is of another kind of machine than this one."""
    differ = [
        f"{found.subject} {found.new or 'unknown'} here, {found.old or 'unknown'} there"
        for found in machine_differences(profiled, here)
    ]
    if not differ:
        return ()
    return (f"the profile is of another machine: {'; '.join(differ)}: differences between the two are in the errors",)


def _other_build(profile: Profile, proxy: str) -> tuple[str, ...]:
    """What to say where the installed proxy is another than the profiled one. Raises `UsageError` without any."""
    profiled = profile.proxies.get(proxy)
    if profiled is None:
        known = ", ".join(profile.proxies) or "none"
        raise UsageError(f"the profile is of {known}, what is deployed here is {proxy}; profile {proxy} first")
    installed = find_proxy(proxy).identify()
    if (installed.version, installed.binary_sha256) == (profiled.version, profiled.binary_sha256):
        return ()
    return (
        f"{proxy} {installed.version} is deployed, {profiled.version} was profiled"
        + ("" if installed.version != profiled.version else ", another build")
        + ": differences between the two are in the errors",
    )


def _other_placement(profiled: Sequence[str], placement: str) -> tuple[str, ...]:
    """What to say where cells stand for the graph that were measured in another placement than it is deployed in."""
    other = [name for name in dict.fromkeys(profiled) if name != placement]
    if not other:
        return ()
    known = " and ".join(_PLACED[name] for name in other)
    return (
        f"the profile {known}, the graph is deployed with --placement {placement}: the difference is in the errors; "
        f"measure it with: meshinsight profile --placement {placement}",
    )


def _require_rates(graph: CallGraph) -> None:
    if graph.closed_loop is not None:
        raise UsageError(
            f"{graph.closed_loop.id}: validate sends requests at a rate, not as fast as connections allow; give the "
            "rate_rps that predict works out of them"
        )


def _require_memory(deployed: Mapping[str, Application]) -> None:
    services = sum(len(one.services) for one in deployed.values())
    sidecars = sum(len(one.services) for one in deployed.values() if one.meshed)
    needed = services * _SERVICE_BYTES + sidecars * _SIDECAR_BYTES
    free = _available_bytes()
    if needed > free:
        raise MeshInsightError(
            f"{services} services and {sidecars} sidecars need about {needed / (1 << 30):.1f} GiB of memory, "
            f"{free / (1 << 30):.1f} GiB are free; validate a smaller graph, or fewer what-ifs at a time"
        )


def _require_carried(cases: Sequence[Case], model: FittedModel, rate_rps: float, cpus: int) -> None:
    """Without a finite prediction there is nothing to score."""
    for case in cases:
        deployed = as_deployed(case.graph, rate_rps, cpus, 0.5, {})
        found = predict(deployed, model, replace(case.options, samples=0, intervals=False))
        if not found.latency["mean"].finite:
            raise MeshInsightError(
                f"{case.name}: at {rate_rps:g} requests/s sidecars have more work than time by the prediction, so no "
                f"latency is predicted; give a --rate below {found.carried_rps:.3g}"
            )


def _require_answers(found: Rounds, rate_rps: float) -> None:
    lost = failures(found)
    if lost:
        texts = ", ".join(f"{name} ({count})" for name, count in lost.items())
        raise MeshInsightError(f"requests failed at {rate_rps:g}/s: {texts}; give a lower --rate")
    slow = not_held(found, rate_rps)
    if slow:
        texts = ", ".join(f"{name} ({answered:.3g}/s)" for name, answered in slow.items())
        raise MeshInsightError(f"not all of {rate_rps:g} requests/s were answered: {texts}; give a lower --rate")


def _available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
