"""The profile on disk: what is read, what is refused and in which words, and that writing is all or nothing."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from profiler.errors import MeshInsightError, ProfileError
from profiler.profile.document import load_profile, plain, profile_of, save_profile, schema
from profiler.profile.types import Profile
from profiler.vocabulary import components

DATA = Path(__file__).parents[2] / "data"
EXAMPLE = DATA / "example-profile.json"
PARTIAL = DATA / "example-partial-profile.json"


@pytest.fixture
def document() -> dict[str, Any]:
    """The example as it is written now."""
    return plain(load_profile(EXAMPLE))


@pytest.fixture
def profile() -> Profile:
    return load_profile(EXAMPLE)


def saved(document: Any, directory: Path) -> Profile:
    """The document after it was read, written and read again."""
    return load_profile(save_profile(profile_of(document, "made"), directory))


def refusal(path: Path) -> str:
    """The message with which a profile is refused; checks that it is one line and names the file."""
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def refused_document(directory: Path, document: Any) -> str:
    path = directory / "profile.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return refusal(path)


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
def test_an_example_profile_loads_from_its_file(path: Path) -> None:
    assert load_profile(path).format == "meshinsight-profile"


def test_a_profile_loads_from_the_directory_that_holds_it(tmp_path: Path, profile: Profile) -> None:
    save_profile(profile, tmp_path)
    assert load_profile(tmp_path) == profile


def test_a_missing_file_is_named_with_what_to_give_instead(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nothing.json")


def test_a_directory_without_profile_is_refused(tmp_path: Path) -> None:
    assert "profile.json: no such file" in refusal(tmp_path)


def test_an_unfinished_run_is_named_with_how_to_continue_it(tmp_path: Path) -> None:
    (tmp_path / "unfinished").mkdir()
    with pytest.raises(ProfileError, match=f"unfinished .*meshinsight profile --resume {tmp_path}$"):
        load_profile(tmp_path)


def test_truncated_json_is_refused_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('{"format": "meshinsight-profile",\n "version": 2, "cells": [', encoding="utf-8")
    assert "line 2, column 26" in refusal(path)


@settings(max_examples=40, deadline=None)
@given(kept=st.integers(min_value=1, max_value=len(PARTIAL.read_text(encoding="utf-8")) - 2))
def test_a_profile_cut_anywhere_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "profile.json"
    path.write_text(PARTIAL.read_text(encoding="utf-8")[:kept], encoding="utf-8")
    assert "truncated or damaged JSON" in refusal(path)


@pytest.mark.parametrize("foreign", [{"spans": []}, [1, 2], "text", 7, None, {"format": "other", "version": 1}])
def test_foreign_json_is_not_taken_for_a_profile(tmp_path: Path, foreign: Any) -> None:
    assert "not a MeshInsight profile" in refused_document(tmp_path, foreign)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "not UTF-8 text (byte 0)"),
        (b"[" * 100_000, "nested more than 40 deep"),
        (b'{"format": ' + b"9" * 5000 + b"}", "expected a number within 64 bits"),
    ],
)
def test_what_no_profile_holds_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(content)
    assert message in refusal(path)


def test_a_newer_format_version_asks_for_an_upgrade(tmp_path: Path, document: dict[str, Any]) -> None:
    message = refused_document(tmp_path, document | {"version": 4})
    assert "version 4" in message
    assert "up to version 3" in message
    assert "upgrade meshinsight" in message


def test_a_newer_version_is_said_before_anything_else_that_differs(tmp_path: Path) -> None:
    assert "upgrade" in refused_document(tmp_path, {"format": "meshinsight-profile", "version": 5, "cells": "moved"})


def test_a_wrong_type_is_named_with_its_path(tmp_path: Path, document: dict[str, Any]) -> None:
    document["cells"][1]["latency"]["with_p50_ns"] = "fast"
    message = refused_document(tmp_path, document)
    assert ": line 1, cells[1].latency.with_p50_ns: expected float, got str; see docs/reference/" in message


def test_a_missing_field_is_named_with_its_path(tmp_path: Path, document: dict[str, Any]) -> None:
    del document["cells"][0]["cpu"]["components"]["ipc"]["share"]
    message = refused_document(tmp_path, document)
    assert ": line 1, cells[0].cpu.components.ipc.share is missing; see docs/reference/profile-format.md" in message


def test_an_unknown_component_is_refused_by_name(tmp_path: Path, document: dict[str, Any]) -> None:
    parts = document["cells"][0]["latency"]["components"]
    parts["gossip"] = parts["ipc"]
    message = refused_document(tmp_path, document)
    assert "cells[0].latency.components.gossip: unknown key; expected str matching regex '^(ipc|socket_read|" in message


@pytest.mark.parametrize(
    ("change", "line", "where"),
    [
        (lambda document: document["cells"][1]["latency"].update(with_p50_ns="fast"), '"with_p50_ns": "fast"',
         "cells[1].latency.with_p50_ns: expected float, got str"),
        (lambda document: document["cells"][1]["latency"]["components"]["ipc"].update(samples=-1), '"samples": -1',
         "cells[1].latency.components.ipc.samples: expected int >= 0"),
        (lambda document: document["proxies"]["envoy"].update(workers=0), '"workers": 0',
         "proxies.envoy.workers: expected int >= 1"),
        (lambda document: document["cells"][2]["cpu"]["disagreement_points"].update(gossip=1.0), '"gossip": 1.0',
         "cells[2].cpu.disagreement_points.gossip: unknown key"),
        (lambda document: document["files"].update(empty=""), '"empty": ""',
         "files.empty: expected str of length >= 1"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_file_is_named_with_its_line(
    tmp_path: Path, document: dict[str, Any], change: Callable[[Any], None], line: str, where: str
) -> None:
    change(document)
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    (number,) = (at for at, text in enumerate(path.read_text().splitlines(), 1) if line in text)
    assert f"profile.json: line {number}, {where}" in refusal(path)


def test_plain_values_have_no_lines(document: dict[str, Any]) -> None:
    document["cells"][1]["latency"]["with_p50_ns"] = "fast"
    with pytest.raises(ProfileError, match=r"^made: cells\[1\]\.latency\.with_p50_ns: expected float, got str; "):
        profile_of(document, "made")


@pytest.mark.parametrize("name", [*components.COMPONENTS, "tls", "filter:rbac", "filter:local_ratelimit"])
def test_every_component_of_the_vocabulary_is_allowed(tmp_path: Path, document: dict[str, Any], name: str) -> None:
    parts = document["cells"][0]["latency"]["components"]
    parts[name] = parts["ipc"]
    found = saved(document, tmp_path).cells[0].latency
    assert found is not None
    assert found.components[name] == found.components["ipc"]


def test_an_unknown_cell_key_is_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    document["cells"][0]["vibes"] = "good"
    assert "cells[0]: object contains unknown field vibes" in refused_document(tmp_path, document)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("proxy", "envoy"),
        ("tls", "mtls"),
        ("filters", ["rbac"]),
        ("transport", "unix"),
        ("headers", 12),
        ("memory", {"rss_bytes": 1, "per_connection_bytes": 2}),
    ],
)
def test_later_cell_dimensions_are_already_allowed(
    tmp_path: Path, document: dict[str, Any], key: str, value: object
) -> None:
    document["cells"][0][key] = value
    stored = plain(saved(document, tmp_path))["cells"][0][key]
    assert stored == ({**value, "connections": None} if isinstance(value, dict) else value)


@pytest.mark.parametrize("key", ["settings", "environment"])
def test_settings_and_environment_may_hold_anything(tmp_path: Path, document: dict[str, Any], key: str) -> None:
    document[key] = {"invented": [1, {"deep": None}]}
    assert getattr(saved(document, tmp_path), key) == {"invented": [1, {"deep": None}]}


def test_the_error_of_its_model_is_optional_and_closed(tmp_path: Path, document: dict[str, Any]) -> None:
    error = {"protocol": "tcp", "currency": "cpu", "median": None, "worst": None, "tested": 0, "untested": 3}
    assert "model_error" not in json.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert plain(saved(document | {"model_error": [error]}, tmp_path))["model_error"] == [error | {"follows": None}]
    message = refused_document(tmp_path, document | {"model_error": [error | {"mean": 1}]})
    assert "model_error[0]: object contains unknown field mean" in message


def test_an_open_loop_cell_needs_its_offered_rate(tmp_path: Path, document: dict[str, Any]) -> None:
    document["cells"][0] |= {"loop": "open", "rate_rps": None}
    assert "cells[0]: expected a number in rate_rps, since loop is open" in refused_document(tmp_path, document)


def test_a_cell_without_any_figure_must_say_why(tmp_path: Path, document: dict[str, Any]) -> None:
    document["cells"][0] |= {"latency": None, "cpu": None, "errors": []}
    assert "cells[0]: expected a text in errors, since nothing was measured" in refused_document(tmp_path, document)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_json_does_not_know_are_refused(tmp_path: Path, document: dict[str, Any], value: float) -> None:
    document["cells"][0]["latency"]["with_p50_ns"] = value
    assert "$.cells[0].latency.with_p50_ns: not a finite number" in refused_document(tmp_path, document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "fine"}, "status: invalid enum value 'fine'"),
        ({"run_id": "Not one"}, "run_id: expected str matching regex"),
        ({"cells": None}, "cells: expected array, got null"),
    ],
)
def test_an_invalid_profile_is_not_written(
    tmp_path: Path, profile: Profile, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProfileError, match=rf"profile\.json: {message}"):
        save_profile(replace(profile, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_infinite_figure_is_not_written(tmp_path: Path, document: dict[str, Any]) -> None:
    profile = profile_of(document, "made")
    cell = replace(profile.cells[0], achieved_rps=float("inf"))
    with pytest.raises(ProfileError, match=r"profile\.json: \$\.cells\[0\]\.achieved_rps: not a finite number"):
        save_profile(replace(profile, cells=[cell]), tmp_path)


def test_saving_makes_the_directory_and_leaves_only_the_profile(tmp_path: Path, profile: Profile) -> None:
    target = save_profile(profile, tmp_path / "new" / "run")
    assert target == tmp_path / "new" / "run" / "profile.json"
    assert list(target.parent.iterdir()) == [target]


def test_tuples_are_saved_as_the_lists_they_become(tmp_path: Path, document: dict[str, Any]) -> None:
    document["cells"][0]["latency"]["overhead_ci95_ns"] = (1.0, 2.0)
    found = saved(document, tmp_path).cells[0].latency
    assert found is not None
    assert found.overhead_ci95_ns == [1.0, 2.0]


def test_a_full_disk_is_one_line_and_keeps_the_old_profile(
    tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = save_profile(profile, tmp_path).read_text(encoding="utf-8")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MeshInsightError, match=r"profile\.json: cannot be written: No space left on device"):
        save_profile(replace(profile, run_id="other"), tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "profile.json"]
    assert (tmp_path / "profile.json").read_text(encoding="utf-8") == before


def test_a_place_that_cannot_be_a_directory_is_one_line(tmp_path: Path, profile: Profile) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(MeshInsightError, match="cannot be written"):
        save_profile(profile, tmp_path / "file")


def test_the_schema_itself_is_a_valid_schema() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())


def validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema())


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
def test_the_schema_describes_a_profile_as_it_is_written(tmp_path: Path, path: Path) -> None:
    text = save_profile(load_profile(path), tmp_path).read_text(encoding="utf-8")
    assert [error.message for error in validator().iter_errors(json.loads(text))] == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda document: document.pop("status"), "$"),
        (lambda document: document.update(vibes="good"), "$"),
        (lambda document: document["cells"][0].update(vibes="good"), "$.cells[0]"),
        (lambda document: document["cells"][0].update(rounds=-1), "$.cells[0].rounds"),
        (lambda document: document["noise"].update(steal_ratio=1.5), "$.noise.steal_ratio"),
        (lambda document: document["cells"][0]["cpu"]["components"].update(gossip={}), "$.cells[0].cpu"),
    ],
)
def test_the_schema_refuses_what_reading_refuses(
    document: dict[str, Any], change: Callable[[Any], object], path: str
) -> None:
    change(document)
    assert any(error.json_path.startswith(path) for error in validator().iter_errors(document))
    with pytest.raises(ProfileError):
        profile_of(document, "made")


def test_reading_profiles_costs_no_heavy_import() -> None:
    code = "import sys, profiler.profile.document; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"jsonschema", "pandas", "matplotlib", "jinja2", "bcc"}.intersection(loaded)


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
def test_a_profile_is_read_as_it_was_written_and_written_the_same(tmp_path: Path, path: Path) -> None:
    first = save_profile(load_profile(path), tmp_path / "first")
    again = load_profile(first)
    assert again == load_profile(path)
    assert plain(again) == json.loads(first.read_text(encoding="utf-8"))
    assert save_profile(again, tmp_path / "second").read_bytes() == first.read_bytes()


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
def test_the_examples_latency_components_close_as_stated(path: Path) -> None:
    for cell in load_profile(path).cells:
        if (latency := cell.latency) is not None:
            total = sum(part.median_ns for part in latency.components.values())
            measured = latency.with_p50_ns - latency.baseline_p50_ns
            assert measured == latency.overhead_p50_ns
            assert (total - measured) / measured == pytest.approx(latency.closure_residual, abs=1e-4)


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
def test_the_examples_places_add_up_to_their_components(path: Path) -> None:
    for cell in load_profile(path).cells:
        if (latency := cell.latency) is not None:
            for name, part in latency.components.items():
                assert sum(place.components.get(name, 0) for place in latency.by_place) == part.median_ns


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
def test_the_examples_cpu_figures_agree_with_each_other(path: Path) -> None:
    for cell in load_profile(path).cells:
        for side in (cell.cpu.components, cell.cpu.perf_components) if cell.cpu else ():
            assert sum(part.share or 0.0 for part in side.values()) == pytest.approx(1 if side else 0, abs=1e-3)
            for part in side.values():
                assert part.vcpu_per_1000_rps == pytest.approx(part.cpu_ns_per_request * 1e-6)
