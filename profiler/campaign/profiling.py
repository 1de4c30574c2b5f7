"""One profile run from beginning to end: set up, measure, put together, save. Interrupted, it saves what it has."""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from profiler.campaign.assemble import Assembly
from profiler.campaign.bench import Bench, Toolbox
from profiler.campaign.cells import make_plan
from profiler.campaign.loop import Campaign, Report
from profiler.campaign.readings import Readings
from profiler.campaign.settings import ProfileSettings
from profiler.campaign.storage import save_samples
from profiler.environment import describe_environment
from profiler.errors import MeshInsightError, ProbeError
from profiler.probes.bpf import ProbeStatus, program_text, require_bcc
from profiler.probes.cputime import RARE, cputime_defines
from profiler.probes.timeline import Timeline
from profiler.profile.document import FORMAT, VERSION, save_profile
from profiler.proxies.base import ProxyVersion, SidecarConfig
from profiler.proxies.envoy import Envoy
from profiler.testbed.run import Run, measuring_lock
from profiler.workload.h2load import H2load
from profiler.workload.haproxy_server import HaproxyServer
from profiler.workload.openloop import OpenLoop

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
    document: dict[str, Any]
    interrupted: BaseException | None


def default_toolbox() -> Toolbox:
    """The programs that a profile of the local testbed is measured with."""
    return Toolbox(Envoy(), HaproxyServer(), H2load(), OpenLoop())


def bpf_texts() -> dict[str, str]:
    """Every BPF program as it is loaded on this machine, by name."""
    return {
        "timeline": program_text("timeline", Timeline.defines()),
        "cputime": program_text("cputime", cputime_defines()),
    }


class Profiling:
    """A profile run on this machine.

    Raises:
        MissingError: something it needs is not here; said before anything is started.
    """

    def __init__(self, settings: ProfileSettings, invocation: Invocation, tools: Toolbox | None = None) -> None:
        require_bcc()
        self._settings = settings
        self._invocation = invocation
        self._tools = tools or default_toolbox()
        self._proxy = self._tools.proxy.identify()
        self._workload = {
            role: {"name": program.name, "version": program.version()}
            for role, program in (
                ("server", self._tools.server),
                ("load_generator", self._tools.closed_loop),
                ("open_loop_generator", self._tools.open_loop),
            )
        }
        self._plan = make_plan(settings)
        self._readings = Readings()
        self._created = datetime.now(UTC)

    def run(self, directory: Path, report: Report) -> Outcome:
        """Measure and save into `directory`; an interrupted run with finished rounds is saved as partial.

        Raises:
            MeshInsightError: the run failed; KeyboardInterrupt: it was stopped before there was anything to save.
        """
        interrupted: BaseException | None = None
        with measuring_lock(), Run.start() as run:
            bench = Bench(run, self._plan, self._settings, self._tools)
            try:
                report(_SETTING_UP, 0.0)
                run.suspend_autogroup()
                with bench:
                    Campaign(bench, self._plan, self._settings, self._readings).run(report)
                _require_hits(bench.probes())
            except (KeyboardInterrupt, MeshInsightError) as error:
                interrupted = error
            document = self._document(run.id, bench, interrupted)
            if interrupted and not document["cells"]:
                raise interrupted
            document["files"] = save_samples(self._plan, self._readings, directory)
            path = save_profile(document, directory)
        return Outcome(path, document, interrupted)

    def _document(self, run_id: str, bench: Bench, interrupted: BaseException | None) -> dict[str, Any]:
        assembly = Assembly(self._plan, self._readings, self._settings.seed, bench.probe_hit_ns)
        probes = bench.probes()
        return {
            "format": FORMAT,
            "version": VERSION,
            "status": "partial" if interrupted else "complete",
            "run_id": run_id,
            "created": self._created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "meshinsight_version": self._invocation.version,
            "command": list(self._invocation.command),
            "settings": self._settings.as_json(),
            "environment": describe_environment(),
            "proxies": {self._tools.proxy.name: self._proxy_json(self._proxy)},
            "workload": self._workload,
            "calibration": {"probe_hit_ns": {"in_a_loop": bench.probe_hit_ns, "in_place": assembly.probe_hit_ns}},
            "noise": assembly.noise(),
            "anchor": assembly.anchor(),
            "probes": [probe.as_json() for probe in probes],
            "cells": assembly.cells(),
            "warnings": _warnings(probes, interrupted, bench.repeated_windows),
            "files": {},
        }

    def _proxy_json(self, version: ProxyVersion) -> dict[str, Any]:
        protocols = {hop.protocol for hop in self._plan.hops if hop.sidecar_places}
        return {
            "version": version.version,
            "build": version.build,
            "binary_sha256": version.binary_sha256,
            "workers": SidecarConfig("tcp").workers,
            "configs": {protocol: self._config_sha256(protocol) for protocol in sorted(protocols)},
        }

    def _config_sha256(self, protocol: str) -> str:
        # Rendered for a fixed directory, so that equal configurations have equal hashes in all runs.
        text = self._tools.proxy.render(SidecarConfig(protocol), Path("/sidecar"))
        return hashlib.sha256(text.encode()).hexdigest()


def _require_hits(probes: list[ProbeStatus]) -> None:
    silent = [f"{probe.name} of {probe.program}" for probe in probes if not probe.hits and probe.name not in RARE]
    if silent:
        raise ProbeError(
            f"no hits on {', '.join(silent)} in the whole run, so its parts are missing; see `meshinsight doctor`"
        )


def _warnings(probes: list[ProbeStatus], interrupted: BaseException | None, repeated_windows: int) -> list[str]:
    found = []
    if interrupted:
        found.append(
            f"the run ended early ({str(interrupted) or 'interrupted'}); cells have fewer rounds than asked for"
        )
    if repeated_windows:
        found.append(
            f"{repeated_windows} windows were measured again because the machine was held up; use a quieter machine"
        )
    dropped = max((probe.dropped for probe in probes), default=0)
    if dropped:
        found.append(f"{dropped} timeline events were dropped; use a shorter --duration")
    return found


def default_directory(now: float | None = None) -> Path:
    """Where a run is kept when no directory is named: history is never overwritten."""
    return Path("profiles") / time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
