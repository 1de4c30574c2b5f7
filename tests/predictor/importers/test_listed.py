"""What an importer assumes, moves, cuts or leaves out is in the graph's list, with a count."""

from pathlib import Path

from tests.predictor.importers.recorded import ROOT, imported, jaeger, rpc, span, written

LOOK_UP = span("h", "front", "client", 1_110, 20, "root") | {"operationName": "dns.lookup"}


def listed(directory: Path, *traces: list[dict[str, object]]) -> dict[str, str]:
    graph = imported(written(directory, jaeger(*traces))).graph
    return {item.path: item.why for item in graph.assumed if item.path == "traces" or "external" in item.path}


def test_look_ups_are_counted(tmp_path: Path) -> None:
    nameless = span("n", "front", "client", 1_310, 20, "x")
    spans = [ROOT, LOOK_UP, *rpc("x", "front", "cart", 1_300, 100, "root"), nameless]
    assert listed(tmp_path, spans)["traces"].startswith("2 client spans are look-ups")


def test_repeated_spans_are_counted(tmp_path: Path) -> None:
    assert listed(tmp_path, [ROOT, ROOT])["traces"] == "1 spans are there more than once; counted once"


def test_callees_that_nothing_names_are_listed(tmp_path: Path) -> None:
    call = span("q", "front", "client", 1_100, 100, "root")
    assert listed(tmp_path, [ROOT, call])["services.front-external"] == "no span says who is called"


def test_remarks_on_traces_come_first(tmp_path: Path) -> None:
    found = imported(written(tmp_path, jaeger([ROOT, LOOK_UP])))
    assert found.graph.assumed[0].path == "traces"
