"""Reads a file of scenarios: what-ifs with names, to be compared (`docs/explanation/prediction.md`).

The rules of the file are here; `scenarios.schema.json` says the same for editors and other programs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from predictor.graph.fields import Fields, items, shown
from predictor.graph.types import CallGraph
from predictor.hop_costs.options import Factors, Options
from predictor.what_if.scenario import TOPOLOGIES, Changes, changed, factors
from profiler.errors import UsageError
from profiler.files.json_text import Path_
from profiler.files.reading import read_text
from profiler.files.yaml_text import Document, parse_document

FORMAT: Final = "meshinsight-scenarios"
VERSION: Final = 1
"""The newest version of the file that this package reads."""

AS_IT_IS: Final = "as it is"
"""The name of the graph without any scenario."""

REMEDY: Final = "give a file of scenarios, as docs/explanation/prediction.md describes it"
TRANSPORTS: Final = ("ip", "uds")

_KEYS: Final = (
    "name", "set", "drop_filters", "topology", "transport", "proxy", "speedup", "cold_weight", "load", "cpu_model",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named what-if. What is None is as without it; `speedup` replaces that of the same components.

    `place` is where it stands, `places` where each change does, by kind and text: for messages.
    """

    name: str
    changes: Changes = field(default_factory=Changes)
    transport: str | None = None
    proxy: str | None = None
    cpu_model: str | None = None
    speedup: Mapping[str, Factors] | None = None
    place: str = ""
    places: Mapping[tuple[str, str], str] | None = None

    def graph(self, graph: CallGraph) -> CallGraph:
        """The graph in this scenario. Raises `UsageError`, naming the place of the change that does not fit it."""
        inner: list[str] = []

        def named(kind: str, text: str) -> str:
            inner.append(kind)
            return f"{(self.places or {}).get((kind, text), self.place)}: {text}"

        try:
            return changed(graph, self.changes, named)
        except UsageError as error:
            raise error if inner else UsageError(f"{self.place}: {error}") from None

    def options(self, options: Options) -> Options:
        """The options in this scenario."""
        return replace(
            options,
            transport=self.transport or options.transport,
            proxy=self.proxy or options.proxy,
            cpu_model=self.cpu_model or options.cpu_model,
            speedup={**(options.speedup or {}), **(self.speedup or {})},
        )


def load_scenarios(file: Path) -> tuple[Scenario, ...]:
    """Read and check a file of scenarios. Raises `UsageError`, one line that names file, line and field."""
    return parse_scenarios(read_text(file, REMEDY), str(file))


def parse_scenarios(text: str, origin: str) -> tuple[Scenario, ...]:
    """As `load_scenarios`, from text; `origin` names it in messages."""
    document = parse_document(text, origin)
    if not isinstance(document.value, dict) or document.value.get("format") != FORMAT:
        raise UsageError(f"{document.at(())}: not a file of scenarios (no 'format: {FORMAT}'); {REMEDY}")
    top = Fields(document, (), document.value)
    version = top.whole("version")
    if version > VERSION:
        raise top.refuse(f"version {version} is newer than this meshinsight reads ({VERSION}); upgrade it", "version")
    top.only(("format", "version", "scenarios"))
    elements = items(document, ("scenarios",), top.raw("scenarios"))
    if not elements:
        raise top.refuse("no scenario in it; start each with '- name: …'", "scenarios")
    found: dict[str, Scenario] = {}
    for path, value in elements:
        if not isinstance(value, dict):
            raise UsageError(f"{document.at(path)}: expected a mapping such as '- {{name: plain, set: […]}}'")
        fields = Fields(document, path, value)
        scenario = _scenario(fields)
        if scenario.name in found or scenario.name == AS_IT_IS:
            whose = "the graph without a scenario" if scenario.name == AS_IT_IS else "an earlier scenario"
            raise fields.refuse(f"{scenario.name!r} is the name of {whose}; choose another", "name")
        found[scenario.name] = scenario
    return tuple(found.values())


def _scenario(fields: Fields) -> Scenario:
    fields.only(_KEYS)
    name = fields.text("name")
    places: dict[tuple[str, str], str] = {}
    cold_weight = fields.optional("cold_weight", most=1.0)
    load = fields.optional("load", most=1e6)
    changes = Changes(
        sets=_sets(fields, places),
        dropped_filters=_dropped(fields, places),
        topology=fields.choice("topology", TOPOLOGIES, "") if fields.has("topology") else None,
        cold_weight=cold_weight,
        load=1.0 if load is None else load,
    )
    return Scenario(
        name=name,
        changes=changes,
        transport=fields.choice("transport", TRANSPORTS, "") if fields.has("transport") else None,
        proxy=fields.text("proxy") if fields.has("proxy") else None,
        cpu_model=fields.text("cpu_model") if fields.has("cpu_model") else None,
        speedup=_speedup(fields),
        place=fields.document.at(fields.path),
        places=places,
    )


def _sets(fields: Fields, places: dict[tuple[str, str], str]) -> tuple[str, ...]:
    """`set` as texts, from a list of `EDGE.FIELD=VALUE` or a mapping of `EDGE.FIELD` to values."""
    given = fields.raw("set", None)
    path: Path_ = (*fields.path, "set")
    pairs = items(fields.document, path, None if isinstance(given, dict) else given)
    if isinstance(given, dict):
        keyed = [((*path, key), key, value) for key, value in given.items()]
        pairs = [(place, f"{key}={_value(fields.document, place, value)}") for place, key, value in keyed]
    for place, text in pairs:
        if not isinstance(text, str):
            raise UsageError(f"{fields.document.at(place)}: expected EDGE.FIELD=VALUE, found {shown(text)}")
        places["set", text] = fields.document.at(place)
    return tuple(text for _, text in pairs)


def _value(document: Document, place: Path_, value: Any) -> str:
    """A value as in `EDGE.FIELD=VALUE`; several filters are joined by `+`."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "+".join(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{document.at(place)}: expected a text, a number or names of filters, found {shown(value)}")
    return str(value)


def _dropped(fields: Fields, places: dict[tuple[str, str], str]) -> tuple[str, ...]:
    names = fields.names("drop_filters")
    for index, name in enumerate(names):
        places["drop-filter", name] = fields.document.at((*fields.path, "drop_filters", index))
    return names


def _speedup(fields: Fields) -> dict[str, Factors]:
    found: dict[str, Factors] = {}
    below = fields.below("speedup")
    for name, given in below.values.items():
        found |= factors({name: given}, fields.document.at((*below.path, name)))
    return found
