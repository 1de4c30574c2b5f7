"""Matrix files: the shipped ones, what a wrong one is told, and that nothing in one is a crash."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.errors import UsageError
from profiler.planning.choice import HopChoice
from profiler.planning.matrix import load_matrix, matrix_error, parse_budget_s, shipped_matrices
from profiler.planning.settings import ProfileSettings

KEYS = ("protocols", "filters", "headers", "rates", "request_bytes", "repeats", "budget", "workers", "prtocols")


def matrix(directory: Path, text: str) -> str:
    file = directory / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("name", shipped_matrices())
def test_each_shipped_matrix_can_be_measured(name: str) -> None:
    ProfileSettings(**load_matrix(name))


def test_the_shipped_ones_are_known_by_name() -> None:
    assert shipped_matrices() == ("alternatives", "budget", "default", "filters", "proxies", "quick")


def test_values_become_settings(tmp_path: Path) -> None:
    text = "rates: [max, 500]\nheaders: [0, 3, {count: 40, bytes: 100}]\nrequest_bytes: [1, 64KiB]\nbudget: 1.5h\n"
    assert load_matrix(matrix(tmp_path, text + "filters: [[], [rbac, own.yaml]]\nrepeats: 4\n")) == {
        "rates_rps": (None, 500.0),
        "headers": ((0, 32), (3, 32), (40, 100)),
        "request_bytes": (1, 65_536),
        "budget_s": 5400.0,
        "filters": ((), ("rbac", str(tmp_path / "own.yaml"))),
        "repeats": 4,
    }


def test_hops_are_chosen_one_by_one(tmp_path: Path) -> None:
    text = (
        "hops:\n  - {protocol: tcp, topology: both}\n  - {protocol: grpc, topology: both, tls: mtls, filters: [lua]}\n"
    )
    found = load_matrix(matrix(tmp_path, text))
    assert found["hops"] == (HopChoice("tcp", "both"), HopChoice("grpc", "both", "mtls", ("lua",)))
    assert (found["protocols"], found["tls"], found["filters"]) == (("tcp", "grpc"), ("none", "mtls"), ((), ("lua",)))


def test_a_waypoint_among_the_hops_has_mutual_tls(tmp_path: Path) -> None:
    found = load_matrix(matrix(tmp_path, "hops: [{protocol: http1, topology: waypoint}]\n"))
    assert found["hops"] == (HopChoice("http1", "waypoint", "mtls"),)


def test_hops_and_what_they_name_themselves_do_not_mix(tmp_path: Path) -> None:
    text = "hops: [{protocol: tcp, topology: both}]\ntls: [mtls]\n"
    with pytest.raises(UsageError, match="hops and tls: hops name theirs; leave tls out"):
        load_matrix(matrix(tmp_path, text))


def test_rounds_and_duration_have_former_keys(tmp_path: Path) -> None:
    former = load_matrix(matrix(tmp_path, "repeats: 4\nduration_s: 0.5\n"))
    assert load_matrix(matrix(tmp_path, "rounds: 4\nduration: 500ms\n")) == former


@pytest.mark.parametrize(("key", "setting"), [("rounds: 1001", "rounds"), ("repeats: 1001", "repeats")])
def test_a_mistake_in_rounds_is_told_with_the_key_that_is_there(tmp_path: Path, key: str, setting: str) -> None:
    file = matrix(tmp_path, f"tls: [none]\n{key}\n")
    with pytest.raises(UsageError) as refused:
        ProfileSettings(**load_matrix(file))
    assert str(matrix_error(file, refused.value, {})).endswith(f":2: {setting}: 1001 is outside 2 to 1000")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hops: [{protocol: tcp}]\n", "topology"),
        ("tls: [none]\nprtocols: [tcp]\n", ":2: unknown key 'prtocols'; known: protocols, tls"),
        ("headers:\n  - 0\n  - {count: 1, bites: 3}\n", ":3: "),
        ("protocols:\n- tcp\n- quic\n", ":3: protocols.1: 'quic'"),
        ("repeats: many\n", ":1: repeats: 'many'"),
        ("request_bytes: [1 GiB]\n", ":1: request_bytes.0: "),
        ("- tcp\n", ":1: the file: "),
        ("protocols: [tcp\n", ":2:1: invalid YAML: "),
        ("", "is empty"),
        ("budget: 0m\n", "matrix: budget: expected a time above 0"),
    ],
)
def test_a_mistake_is_told_with_key_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as refused:
        load_matrix(matrix(tmp_path, text))
    assert "\n" not in str(refused.value)
    assert "own.yaml" in str(refused.value) or "budget" in text


def test_a_file_that_is_not_there_is_told_with_the_names_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file; .* alternatives, budget, default, filters, proxies, quick"):
        load_matrix(str(tmp_path / "no.yaml"))


def test_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"protocols: [\xff]\n")
    with pytest.raises(UsageError, match=r"not UTF-8 text \(byte 12\)"):
        load_matrix(str(tmp_path / "own.yaml"))


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2h ", 7200)])
def test_durations_have_units(text: str, seconds: float) -> None:
    assert parse_budget_s("--budget", text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "0s", "0.0h", "1d", "1e3", "nan s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--budget: expected a time .*; found"):
        parse_budget_s("--budget", text)


scalars = st.none() | st.booleans() | st.integers(-3, 2000) | st.floats() | st.text(max_size=8) | st.dates()
values = st.recursive(
    scalars | st.sampled_from(["tcp", "max", "rbac", "64KiB", "10m"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(scalars.filter(lambda key: key == key), inner, max_size=3)
    ),
    max_leaves=6,
)


def try_matrix(directory: Path, data: bytes) -> None:
    (directory / "own.yaml").write_bytes(data)
    try:
        ProfileSettings(**load_matrix(str(directory / "own.yaml")))
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either it loads, or it is refused in one line


@given(st.dictionaries(st.sampled_from(KEYS) | scalars.filter(lambda key: key == key), values, max_size=4))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_arbitrary_content_is_loaded_or_refused(tmp_path: Path, content: dict[Any, Any]) -> None:
    try_matrix(tmp_path, yaml.safe_dump(content).encode())


@given(st.binary(max_size=60) | st.text("{}[]:,-&*!|>'\"#%@?0123456789bex._T \nab", max_size=60).map(str.encode))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_arbitrary_text_is_loaded_or_refused(tmp_path: Path, data: bytes) -> None:
    try_matrix(tmp_path, data)


@pytest.mark.parametrize(
    "text",
    [
        "2020-99-99",
        "repeats: 0b_",
        "request_bytes: [1.0]",
        "headers: [1.0]",
        "repeats: 3.0",
        "{1: 2, a: 3, null: 4}",
        "&a [*a]",
        "[" * 2000,
        "protocols: &a [*a]",
    ],
)
def test_odd_yaml_is_loaded_or_refused(tmp_path: Path, text: str) -> None:
    try_matrix(tmp_path, text.encode())
