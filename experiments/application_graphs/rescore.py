"""Predicts again, with the code as it is now, what run.py has measured, and scores that.

A change of the model, or another profile, can be judged so before anything is measured anew. What was validated beside
other temperatures than the profile has stays as it is.

Usage: python experiments/application_graphs/rescore.py PROFILE [--results DIR]
Writes `result.json`, `result.md` and `result.png` of the results folder again; what was measured stays.
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.application_graphs.run import GRAPHS, HERE, errors_table, summary, write
from meshinsight.models import load_model
from meshinsight.reports.subjects.validation import anchor_figures
from predictor.graph.reader import load_graph
from predictor.hop_costs.options import Options
from predictor.models.types import FittedModel
from predictor.predict.predict import predict
from predictor.predict.types import Estimate, Headline, Prediction
from predictor.validation.anchoring import anchor_cells, at_speed_of, model_of
from predictor.validation.deploying import as_deployed, handling_ns_of, node_use, plain_entries
from predictor.validation.scoring import grouped_estimates, median_answer
from predictor.validation.types import Anchor, Score
from profiler.measuring.applications import AnchorCell, AnchorReading
from profiler.profile.document import load_profile
from profiler.profile.types import Profile
from profiler.vocabulary.hop import APART


def main() -> None:
    """Score again all that is in the results folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    file = options.results / "result.json"
    found: dict[str, Any] = json.loads(file.read_text())
    model = load_model(options.profile)
    files = {path.stem: path for path in GRAPHS}
    document = load_profile(options.profile)
    measured = {item.temperature for item in model.configurations}
    for name, entry in found.items():
        if entry["temperature"] in measured:
            rescore(entry, files[name.partition(",")[0]], model, document)
    write(found, options.results)
    print("\n".join(errors_table(summary(found))))


def rescore(entry: dict[str, Any], file: Path, model: FittedModel, profile: Profile) -> None:
    """Put new predictions, and the errors that follow, into one result of `meshinsight validate`."""
    raw, now, found = predictions(entry, file, model, profile)
    entry["anchors"] = {one.cell.name: anchor_figures(one) for one in found}
    entry["anchor"] = next(iter(entry["anchors"].values()))
    entry["profile_run_id"] = model.run_id
    for percent in ("p50", "p90", "p99"):
        before, after = (one.latency[percent].overhead_ns for one in (raw, now))
        put(entry["latency"], f"{percent}_", "_ns", before, after, ending="" if percent == "p50" else f"_{percent}")
    put(entry["cpu"], "", "_vcpu", raw.vcpu, now.vcpu)
    for service, anchored in zip(raw.services, now.services, strict=True):
        part = entry["by_service"][service.name]
        put(part["cpu"], "", "_vcpu", service.vcpu, anchored.vcpu)
        if "latency" in part:
            put(part["latency"], "p50_", "_ns", median_answer(service, raw), median_answer(anchored, now))
    by_component(entry, raw, now)


def predictions(
    entry: Mapping[str, Any], file: Path, model: FittedModel, profile: Profile
) -> tuple[Prediction, Prediction, list[Anchor]]:
    """A result's graph predicted as it was deployed: raw and anchored, and the anchors."""
    model = model_of(model, entry["temperature"], entry.get("placement", APART))
    found = anchors(entry, anchor_cells([load_graph(file)], model, profile))
    cpus = os.cpu_count() or 1
    use = node_use(entry["temperature"], entry["baseline"]["vcpu"], cpus)
    plain = plain_entries(load_graph(file))
    handling_ns = handling_ns_of(
        plain, entry["rate_rps"], entry["baseline"]["vcpu"], entry["baseline"].get("by_service_vcpu", {})
    )
    graph = as_deployed(plain, entry["rate_rps"], cpus, use, handling_ns)
    raw, now = (predict(graph, one, Options()) for one in (model, at_speed_of(model, found)))
    return raw, now, found


def by_component(entry: dict[str, Any], raw: Prediction, now: Prediction) -> None:
    """The same for the groups of components."""
    after = grouped_estimates(now)
    for name, before in grouped_estimates(raw).items():
        put(entry["by_component"][name]["cpu"], "", "_vcpu", before, after[name])


def put(part: dict[str, Any], what: str, unit: str, raw: Estimate, now: Estimate, ending: str = "") -> None:
    """Put a prediction beside what was measured; keys as `meshinsight validate` names them."""
    kinds = {"predicted": raw, "anchored": now}
    for kind, value in kinds.items():
        part[f"{kind}_{what}{unit[1:]}"] = value.value
        part[_interval(kind, what, unit)] = [value.low, value.high]
        if isinstance(value, Headline):
            part[f"{kind}_{what}ci80{unit}"] = list(value.inner)
    low, high = part[_interval("measured", what, unit)]
    score = Score(raw, now, Estimate(part[f"measured_{what}{unit[1:]}"], low, high))
    part[f"error_ratio{ending}"] = score.error_ratio
    part[f"anchored_error_ratio{ending}"] = score.anchored_error_ratio
    part[f"inside_interval{ending}"] = score.inside_interval


def _interval(kind: str, what: str, unit: str) -> str:
    return f"{kind}_{what}ci95{unit}"


def anchors(entry: Mapping[str, Any], profiled: Mapping[AnchorCell, AnchorReading]) -> list[Anchor]:
    """The anchor cells of a result, beside another profile."""
    found = []
    for name, anchor in entry["anchors"].items():
        cell = anchor_cell(name)
        rounds = zip(anchor["rounds_ns"], anchor["rounds_cpu_ns"], strict=True)
        found.append(Anchor(cell, profiled[cell], tuple(AnchorReading(*one) for one in rounds)))
    return found


def anchor_cell(name: str) -> AnchorCell:
    """The anchor cell of that name."""
    protocol, _, rest = name.partition("-both-")
    temperature, _, rate = rest.partition("-")
    return AnchorCell(protocol, temperature, float(rate.removesuffix("rps")) if rate else None)


if __name__ == "__main__":
    main()
