"""Which changes may be proposed for a graph, and why others may not. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from predictor.advise.changes import DEFAULT_KINDS, KINDS, Change, Edges, required_filters
from predictor.graph.types import Call, CallGraph
from profiler.errors import UsageError
from profiler.text import not_one_of

MOST_FILTERS: Final = 4
"""So many filters of an edge are considered one by one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which kinds may be proposed; kinds, edges and deployments that stay as they are because someone asked for it."""

    kinds: tuple[str, ...]
    kept: tuple[str, ...] = ()
    edges: frozenset[str] = frozenset()
    deployments: frozenset[str] = frozenset()


def rules(graph: CallGraph, allow: Sequence[str], keep: Sequence[str]) -> Rules:
    """The rules that `--allow KIND` and `--keep KIND|EDGE|SERVICE` (globs) give. Raises `UsageError`."""
    allowed = {kind.strip() for text in allow for kind in text.split(",")}
    unknown = sorted(allowed - {*KINDS, "all"})
    if unknown:
        raise UsageError(f"--allow: {not_one_of(unknown[0], (*KINDS, 'all'))}")
    kinds = list(KINDS) if "all" in allowed else [kind for kind in KINDS if kind in {*DEFAULT_KINDS, *allowed}]
    calls, edges, deployments = Edges(graph).calls, set(), set()
    for pattern in keep:
        if pattern in KINDS:
            if pattern in allowed:
                raise UsageError(f"--keep {pattern}: contradicts --allow {pattern}")
            kinds = [kind for kind in kinds if kind != pattern]
            continue
        found_edges = {call.id for call in calls if fnmatchcase(call.id, pattern)}
        found = {service.deployment for service in graph.services if fnmatchcase(service.name, pattern)}
        if not found_edges and not found:
            raise UsageError(
                f"--keep {pattern}: no edge and no service is called so, and it is no kind ({', '.join(KINDS)})"
            )
        edges |= found_edges
        deployments |= found
    kept = tuple(pattern for pattern in keep if pattern in KINDS)
    return Rules(tuple(kinds), kept, frozenset(edges), frozenset(deployments))


class Candidates:
    """The changes that the rules and the file's requirements leave, and what they exclude, in `refused`.

    `transports` are those that were profiled, none if it is not to be changed.
    """

    def __init__(self, graph: CallGraph, chosen: Rules, transports: Collection[str]) -> None:
        self._edges = Edges(graph)
        self._rules = chosen
        self._refused: dict[str, int] = {}
        self._lacking: dict[str, dict[str, None]] = {}
        self.changes: list[Change] = []
        for index, call in enumerate(self._edges.calls):
            if self._edges.modes(index) != ("none", "none"):
                self._of_edge(index, call)
        for name in dict.fromkeys(service.deployment for service in graph.services):
            self._of_deployment(name)
        if "uds" in transports:
            self._offer(Change("uds"), "")
        elif transports:
            self._refuse("uds: not profiled; measure with: meshinsight profile --transport uds")

    @property
    def refused(self) -> list[str]:
        """What was not considered, with the reason and how often."""
        counted = [text.replace("{n}", f"{count} time{'s' * (count > 1)}") for text, count in self._refused.items()]
        return counted + [f"{kind}: {text}" for kind, texts in self._lacking.items() for text in texts]

    def lack(self, kind: str, text: str) -> None:
        """Note that a kind of change lacks something in the profile, with what to measure."""
        self._lacking.setdefault(kind, {})[text] = None

    def _refuse(self, text: str) -> None:
        self._refused[text] = self._refused.get(text, 0) + 1

    def _offer(self, change: Change, reason: str) -> None:
        """Offer a change, unless there is a reason against it."""
        if change.kind not in self._rules.kinds:
            why = "as --keep asks" if change.kind in self._rules.kept else f"not asked for; --allow {change.kind}"
            reason = f"{change.kind} ({KINDS[change.kind]}): {{n}}, {why}"
        if reason:
            self._refuse(reason)
        else:
            self.changes.append(change)

    def _of_edge(self, index: int, call: Call) -> None:
        kept = "edges as --keep asks: {n}" if self._kept(index) else ""
        parsing = {"http", "shared"} & set(self._edges.modes(index))
        filters = list(dict.fromkeys(call.filters))
        needed = required_filters(call)
        if call.protocol != "tcp" and parsing:
            reason = "protocol: {n}, since a filter is required" if needed else ""
            if not reason and (len(filters) > MOST_FILTERS or (filters and "filter" not in self._rules.kinds)):
                reason = "protocol: {n}, since filters need HTTP; --allow filter"
            self._offer(Change("protocol", call.id), kept or reason)
        if call.tls == "mtls":
            self._offer(
                Change("tls", call.id), kept or ("tls: {n}, since mtls is required" * ("mtls" in call.required))
            )
        for place, name in enumerate(filters):
            reason = f"filter {name}: {{n}}, since it is required" if name in needed else ""
            reason = reason or (f"filter: more than {MOST_FILTERS} at one edge: {{n}}" * (place >= MOST_FILTERS))
            self._offer(Change("filter", call.id, name), kept or reason)

    def _kept(self, index: int) -> bool:
        owners = self._edges.owners[index]
        return self._edges.calls[index].id in self._rules.edges or any(o in self._rules.deployments for o in owners)

    def _of_deployment(self, name: str) -> None:
        made = [i for i, owner in enumerate(self._edges.owners) if owner[0] == name]
        got = [i for i, owner in enumerate(self._edges.owners) if owner[1] == name]
        calling = [index for index in made if self._edges.modes(index)[0] != "none"]
        called = [index for index in got if self._edges.modes(index)[1] != "none"]
        kept = any(self._kept(index) for index in (*made, *got)) or name in self._rules.deployments
        reason = "services as --keep asks: {n}" if kept else ""
        if calling:
            self._offer(Change("client", name), reason or self._against("client", name, calling))
        if calling or called:
            modes = {self._edges.modes(index)[side] for side, m in enumerate((calling, called)) for index in m}
            if not modes <= {"shared", "waypoint"}:
                self._offer(Change("shared", name), reason)
            if any(self._edges.calls[index].required for index in (*made, *got)):
                reason = reason or "none: {n}, since something is required there"
            self._offer(Change("none", name), reason or self._against("none", name, (*made, *got)))

    def _against(self, kind: str, name: str, indices: Iterable[int]) -> str:
        """Why a deployment's sidecar may not go: what its edges would lose besides."""
        for index in indices:
            call, change = self._edges.calls[index], Change(kind, name)
            treated = self._edges.under(index, {change})
            if treated is None:
                continue
            if treated.tls != call.tls:
                if "mtls" in call.required:
                    return f"{kind}: {{n}}, since mtls is required"
                if "tls" not in self._rules.kinds:
                    return f"{kind}: {{n}}, since mTLS needs it; --allow tls"
            if treated.filters != call.filters:
                if required_filters(call):
                    return f"{kind}: {{n}}, since a filter is required"
                if "filter" not in self._rules.kinds:
                    return f"{kind}: {{n}}, since filters need it; --allow filter"
        return ""
