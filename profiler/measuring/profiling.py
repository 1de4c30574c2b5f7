"""One profile run from beginning to end: set up, measure, put together, save. Interrupted, it saves what it has."""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError, ProbeError, UsageError, with_note
from profiler.evaluation.block_result import BlockResult
from profiler.evaluation.cells import Assembly
from profiler.evaluation.merge import merged_anchor, merged_cells, merged_hit_ns, merged_noise, merged_probes
from profiler.evaluation.readings import Readings
from profiler.files.writing import PRIVATE, write_whole
from profiler.host.environment import describe_environment
from profiler.host.hop_cpus import cpus_for_hops, warnings_of_cpus
from profiler.measuring.bench import Bench, Toolbox
from profiler.measuring.journal import Journal
from profiler.measuring.loop import Campaign, Report, expected_seconds
from profiler.measuring.samples import save_samples
from profiler.measuring.testbeds import LocalTestbed, Testbed, config_apart
from profiler.planning.blocks import Block, make_blocks
from profiler.planning.cells import ANCHOR_HOP, blamed, make_plan
from profiler.planning.design import Design
from profiler.planning.design_terms import measured
from profiler.planning.settings import ProfileSettings
from profiler.probes.bpf import ProbeStatus, program_text, require_bcc
from profiler.probes.cputime import RARE, cputime_defines
from profiler.probes.timeline import Timeline
from profiler.profile.document import save_profile
from profiler.profile.types import Calibration, Probe, Profile, Program, Proxy
from profiler.proxies import own_program
from profiler.proxies.base import ProxyVersion
from profiler.proxies.redaction import without_secrets
from profiler.proxies.registry import proxy_of
from profiler.testbed.certificates import KEY, make_certificates
from profiler.testbed.deployment import Secrets
from profiler.testbed.leftovers import LeftBehindError
from profiler.testbed.run import Run, measuring_lock
from profiler.testbed.tokens import make_token
from profiler.vocabulary import usual
from profiler.vocabulary.hop import PLAIN, Hop
from profiler.vocabulary.variant import USUAL, Variant
from profiler.workload.base import LoadGenerator, Server
from profiler.workload.generators.h2load import H2load
from profiler.workload.generators.own import OwnGenerator
from profiler.workload.servers.haproxy import HaproxyServer
from profiler.workload.servers.nghttpd import NghttpdServer

TLS_DETAILS: Final = {"version": "TLSv1.3", "key": KEY, "session_resumption": "off: every handshake is a full one"}

_CONFIG: Final = "config"
_SETTING_UP: Final = "setting up the testbed"


@dataclass(frozen=True)
class Invocation:
    """Who called and how, for the record in the profile."""

    command: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Outcome:
    """A saved profile. `interrupted` is what ended the run early, to be raised again when all is reported."""

    path: Path
    profile: Profile
    interrupted: BaseException | None


def default_toolbox() -> Toolbox:
    """The programs that a profile of the local testbed is measured with."""
    return Toolbox((HaproxyServer(), NghttpdServer()), H2load(), OwnGenerator())


def bpf_texts() -> dict[str, str]:
    """Every BPF program as it is loaded on this machine, by name."""
    return {
        "timeline": program_text("timeline", Timeline.defines()),
        "cputime": program_text("cputime", cputime_defines()),
    }


class Profiling:
    """A profile run on this machine, block by block; the hops are deployed by `testbed`, or on this machine too.

    Raises:
        MissingError: something it needs is not here; UsageError: a configuration that its proxy refuses. Both are said
        before anything is measured.
    """

    def __init__(
        self,
        settings: ProfileSettings,
        invocation: Invocation,
        tools: Toolbox | None = None,
        testbed: Testbed | None = None,
    ) -> None:
        self._schedule = Schedule(settings)
        require_bcc()
        self._settings = self._schedule.settings
        self._invocation = invocation
        self._tools = tools or default_toolbox()
        self._testbed = testbed or LocalTestbed(self._tools.servers, settings)
        self._proxies = {name: self._testbed.proxy(name) for name in (usual.PROXY, *settings.proxies)}
        self._own_programs = {
            variant: own_program.identify(settings.proxies[0], variant)
            for variant in settings.variants
            if variant.binary
        }
        self._packages = {variant: own_program.package_of(variant) for variant in settings.variants}
        programs: dict[str, Server | LoadGenerator] = {
            **{f"server_{server.applications[0]}": server for server in self._tools.servers},
            "load_generator": self._tools.closed_loop,
            "open_loop_generator": self._tools.open_loop,
        }
        self._workload = {
            role: Program(name=program.name, version=program.version()) for role, program in programs.items()
        }
        check_configurations(self._schedule.hops())
        self._configurations = {
            # Without its secrets from here on: it is kept next to the profile, and profiles are passed on.
            hop.name: without_secrets(self._testbed.configuration(hop))
            for hop in self._schedule.hops()
            if hop.sidecar_places
        }

    def run(self, directory: Path, report: Report) -> Outcome:
        """Measure and save into `directory`; what was finished there before is kept and not measured again.

        An interrupted run is saved as partial.

        Raises:
            MeshInsightError: the run failed; KeyboardInterrupt: it was stopped before there was anything to save.
        """
        interrupted: BaseException | None = None
        journal = Journal(directory)
        facts = {
            **self._testbed.facts,
            "machine": describe_environment()["machine_id_hash"],
            **{name: found.version for name, found in self._proxies.items()},
            **{f"program {variant.binary}": found.binary_sha256 for variant, found in self._own_programs.items()},
        }
        known = journal.facts() if journal.begun else facts
        if changed := [name for name, value in facts.items() if known.get(name) != value]:
            raise UsageError(
                f"--resume {directory}: the run was begun with another {changed[0]}; figures of two do not mix, "
                "so measure anew"
            )
        results = journal.results()
        unfinished: BlockResult | None = None
        began_s = time.monotonic() - sum(result.took_s for result in results.values())
        with measuring_lock():
            journal.begin(self._settings, facts)  # a run that is refused leaves nothing
            report(_SETTING_UP, 0.0)
            while (block := self._schedule.next(results, time.monotonic() - began_s)) and not interrupted:
                left_s = self._schedule.left_s(results, block, time.monotonic() - began_s)
                measuring = Measuring(block, self._settings, self._tools, self._testbed, time.monotonic() - began_s)
                result, interrupted = measuring.run(directory, journal.blocks, _later(report, left_s))
                if interrupted:
                    unfinished = result
                else:
                    results[block.name] = result
                    journal.save(block.name, result)
        found = [*results.values(), *([unfinished] if unfinished and unfinished.cells else [])]
        if interrupted and not found:
            journal.close()  # there is nothing to continue
            with suppress(OSError):  # what it holds is not of this run
                directory.rmdir()
            raise interrupted
        profile = self._profile(found, interrupted, self._keep_configurations(directory))
        path = save_profile(profile, directory)
        if not interrupted:
            journal.close()
        return Outcome(path, profile, interrupted)

    def _profile(
        self, results: list[BlockResult], interrupted: BaseException | None, configurations: dict[str, str]
    ) -> Profile:
        anchor = merged_anchor(results)
        return Profile(
            status="partial" if interrupted else "complete",
            run_id=results[0].run_id,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            meshinsight_version=self._invocation.version,
            command=list(self._invocation.command),
            settings=self._settings.as_json(),
            environment={**describe_environment(), **self._testbed.environment},
            proxies=self._all_proxies(),
            workload=self._workload,
            calibration=Calibration(probe_hit_ns=merged_hit_ns(results)),
            noise=merged_noise([result.noise for result in results]),
            anchor=anchor,
            probes=merged_probes(results),
            cells=merged_cells(results, anchor),
            warnings=_warnings(results, interrupted),
            files={key: name for result in results for key, name in result.files.items()} | configurations,
        )

    def _all_proxies(self) -> dict[str, Proxy]:
        """By name, and with the name of their variant; what only the anchor runs with is called so."""
        found = {name: self._proxy(name, USUAL, version) for name, version in self._proxies.items()}
        for variant in self._settings.variants:
            for name in self._settings.proxies:
                version = self._own_programs.get(variant, self._proxies[name])
                if not variant.name:
                    found[f"{name}@anchor"] = found[name]
                found[f"{name}@{variant.name}" if variant.name else name] = self._proxy(name, variant, version)
        return found

    def _proxy(self, name: str, variant: Variant, version: ProxyVersion) -> Proxy:
        hops = [hop for hop in self._schedule.hops() if (hop.proxy, hop.variant) == (name, variant)]
        hops = [hop for hop in hops if hop.sidecar_places]
        return Proxy(
            version=version.version,
            build=version.build,
            binary_sha256=version.binary_sha256,
            package=self._packages.get(variant),
            workers=max((hop.workers for hop in hops), default=1),
            tls=TLS_DETAILS if any(hop.tls != PLAIN for hop in hops) else None,
            configs={hop.name: _sha256(self._configurations[hop.name]) for hop in hops},
        )

    def _keep_configurations(self, directory: Path) -> dict[str, str]:
        """Save the configurations of the sidecars, equal ones once. Returns their part of the profile's `files`."""
        texts = {_sha256(text): text for text in self._configurations.values()}
        files = {f"{_CONFIG}-{digest}": f"{_CONFIG}s/{digest}.txt" for digest in texts}
        (directory / f"{_CONFIG}s").mkdir(exist_ok=True)
        for name, text in zip(files.values(), texts.values(), strict=True):
            write_whole(directory / name, text, PRIVATE)
        return files


def _later(report: Report, later_s: float) -> Report:
    """Report the time that is left of a block together with that of the blocks after it."""
    return lambda label, here_s: report(label, here_s + later_s)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Schedule:
    """Which block comes next: all of a fixed plan in turn, or what a design picks for a budget.

    Attributes: `settings`, with the rounds that the budget allows.
    """

    def __init__(self, settings: ProfileSettings) -> None:
        self._design = Design(settings, expected_seconds) if settings.budget_s else None
        self.settings = self._design.settings if self._design else settings
        self._blocks = [] if self._design else make_blocks(make_plan(settings).asked)

    def hops(self) -> list[Hop]:
        """Every hop that any block may deploy, the anchor's first."""
        return list(dict.fromkeys([ANCHOR_HOP, *(hop for block in self.blocks() for hop in block.plan.hops)]))

    def blocks(self) -> list[Block]:
        """Every block that may be measured."""
        return [entry.block for entry in self._design.candidates] if self._design else self._blocks

    def next(self, results: Mapping[str, BlockResult], spent_s: float) -> Block | None:
        """The block to measure next."""
        if self._design:
            points = [measured(cell) for result in results.values() for cell in result.cells]
            left_s = (self.settings.budget_s or 0.0) - spent_s
            return self._design.next(results, points, left_s)
        return next((block for block in self._blocks if block.name not in results), None)

    def left_s(self, results: Mapping[str, BlockResult], block: Block, spent_s: float) -> float:
        """About how many seconds the run still needs after `block`."""
        if self._design:
            return max(0.0, (self.settings.budget_s or 0.0) - spent_s - expected_seconds(block.plan, self.settings))
        later = [entry for entry in self._blocks if entry.name not in results and entry.name != block.name]
        return sum(expected_seconds(entry.plan, self.settings) for entry in later)

    def listing(self) -> list[tuple[Block, float]]:
        """All blocks in the order in which they will be, or with a budget may be, measured, with their seconds."""
        if self._design:
            return [(entry.block, entry.expected_s) for entry in self._design.rehearse()]
        return [(block, expected_seconds(block.plan, self.settings)) for block in self._blocks]


def check_configurations(hops: Iterable[Hop]) -> None:
    """Let the proxies themselves check every configuration that cannot be known to be good.

    Raises:
        UsageError: in the proxy's own words.
    """
    doubtful = [hop for hop in hops if hop.sidecar_places and (hop.filters or hop.bootstrap or hop.variant.binary)]
    if not doubtful:
        return
    with _check_directories() as directory_for:
        secrets = Secrets(make_certificates(directory_for("certificates")), make_token())
        for number, hop in enumerate(doubtful):
            # One for each: the proxy's user owns it afterwards, so root must not write into it again.
            directory = directory_for(f"check-{number}")
            try:
                proxy_of(hop).validate(config_apart(hop, directory, secrets), directory)
            except UsageError as error:
                raise UsageError(f"{blamed(hop)}: {error}") from error


@contextmanager
def _check_directories() -> Iterator[Callable[[str], Path]]:
    """Makes directories by name. Root's are those of a run, so that cleanup finds them after a kill."""
    if os.geteuid() == 0:
        with Run.start() as run:
            yield run.add_directory
        return
    with tempfile.TemporaryDirectory(prefix="meshinsight-check-") as folder:

        def made(name: str) -> Path:
            directory = Path(folder) / name
            directory.mkdir(mode=0o700)
            return directory

        yield made


class Measuring:
    """One block from beginning to end: deploy, measure, evaluate, save its raw samples."""

    def __init__(self, block: Block, settings: ProfileSettings, tools: Toolbox, testbed: Testbed, at_s: float) -> None:
        self._plan = block.plan
        self._settings = settings
        self._tools = tools
        self._testbed = testbed
        self._at_s = at_s
        self._readings = Readings()

    def run(self, directory: Path, number: int, report: Report) -> tuple[BlockResult, BaseException | None]:
        """Measure, and save raw samples as files of block `number`. Returns the result and what ended it early."""
        interrupted: BaseException | None = None
        began_s = time.monotonic()
        run = Run.start()
        try:
            with run:
                bench = Bench(run, self._plan, self._settings, self._tools, self._testbed)
                try:
                    run.suspend_autogroup()
                    with bench:
                        Campaign(bench, self._plan, self._settings, self._readings).run(report)
                    _require_hits(bench.probes())
                except (KeyboardInterrupt, MeshInsightError) as error:
                    interrupted = error
                assembly = Assembly(self._plan, self._readings, bench.probe_hit_ns)
                cells = assembly.cells()
                files = save_samples(self._plan, self._readings, directory, number) if cells else {}
        except LeftBehindError as left:  # what was measured is kept, and why it ended is said first
            interrupted = with_note(interrupted, left)
        return BlockResult(
            run_id=run.id,
            at_s=self._at_s,
            took_s=time.monotonic() - began_s,
            cells=cells,
            probe_hit_ns={"in_a_loop": bench.probe_hit_ns, "in_place": assembly.probe_hit_ns},
            anchor=assembly.anchor(),
            noise=assembly.noise(),
            probes=[Probe(**probe.as_json()) for probe in bench.probes()],
            repeated_windows=bench.repeated_windows,
            files=files,
        ), interrupted


def _require_hits(probes: list[ProbeStatus]) -> None:
    silent = [f"{probe.name} of {probe.program}" for probe in probes if not probe.hits and probe.name not in RARE]
    if silent:
        raise ProbeError(
            f"no hits on {', '.join(silent)} in the whole run, so its parts are missing; see `meshinsight doctor`"
        )


def _warnings(results: list[BlockResult], interrupted: BaseException | None) -> list[str]:
    found = warnings_of_cpus(cpus_for_hops())
    if interrupted:
        found.append(
            f"the run ended early ({str(interrupted) or 'interrupted'}); continue it with --resume, or use it as it is"
        )
    if repeated := sum(result.repeated_windows for result in results):
        found.append(f"windows measured again because other processes delayed them: {repeated}; stop these and repeat")
    dropped = max((probe.dropped for probe in merged_probes(results)), default=0)
    if dropped:
        found.append(f"{dropped} timeline events were dropped; use a shorter --duration")
    return found


def default_directory(now: float | None = None) -> Path:
    """Where a run is kept when no directory is named: history is never overwritten."""
    return Path("profiles") / time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
