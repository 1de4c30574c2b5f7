from typing import Any

import pytest

from experiments.independent_harness.evaluation import (
    CASES,
    CURRENCIES,
    TOPOLOGIES,
    Round,
    as_text,
    compared,
    evaluated,
    judged,
    row,
    verdict,
)
from experiments.independent_harness.load import Window

ENVIRONMENT = {"cpus": 2, "cpu_model": "A", "virtualisation": "none seen", "kernel": "6", "envoy": "1", "nginx": "2"}


def one_round(plain_ns: float, meshed_ns: float, late: float = 0.0) -> Round:
    return {"plain": Window(plain_ns, 2 * plain_ns, 0.0, 0.0), "tcp": Window(meshed_ns, 3 * meshed_ns, 0.0, late)}


@pytest.fixture
def entry() -> dict[str, Any]:
    return evaluated(CASES["tcp-hop-hot"], [one_round(10e3, 70e3), one_round(40e3, 102e3), one_round(30e3, 94e3)])


def test_overhead_is_the_median_of_the_differences_within_rounds(entry: dict[str, Any]) -> None:
    assert entry["p50"]["overhead_ns"] == 62e3
    assert entry["cpu"]["overhead_ns"] == 222e3


def test_interval_holds_the_overhead_and_stays_within_the_rounds(entry: dict[str, Any]) -> None:
    low, high = entry["p50"]["ci95_ns"]
    assert 60e3 <= low < 62e3 < high <= 64e3


def test_only_cold_cases_have_a_rate() -> None:
    rounds = [one_round(10e3, 70e3)]
    assert evaluated(CASES["tcp-chain4-hot"], rounds)["rate_rps"] is None
    assert evaluated(CASES["tcp-chain4-cold"], rounds)["rate_rps"] == 250.0


def test_a_chain_has_no_sidecar_at_its_client() -> None:
    assert {name: topology.rules for name, topology in TOPOLOGIES.items()} == {
        "hop": 2, "chain1": 1, "chain3": 5, "chain4": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ratio", "low", "high", "said"),
    [
        (1.09, 0.9, 1.4, "agrees"),
        (0.91, 0.9, 0.92, "agrees"),
        (1.2, 1.05, 1.3, "inconclusive"),
        (1.2, 1.11, 1.3, "apart"),
        (0.8, 0.7, 0.89, "apart"),
        (0.8, 0.7, 0.95, "inconclusive"),
    ],
)
def test_a_ratio_is_apart_only_with_its_whole_interval(ratio: float, low: float, high: float, said: str) -> None:
    assert judged(ratio, low, high) == said


def test_ratio_is_predicted_over_measured(entry: dict[str, Any]) -> None:
    found = compared(entry, {"p50": 93e3, "cpu": 222e3})
    assert (found["p50"]["ratio"], found["p50"]["verdict"]) == (1.5, "apart")
    assert (found["cpu"]["ratio"], found["cpu"]["verdict"]) == (1.0, "agrees")


def test_verdict_counts_what_agrees_and_names_the_rest(entry: dict[str, Any]) -> None:
    first, second = verdict({"tcp-hop-hot": compared(entry, {"p50": 93e3, "cpu": 222e3})}).splitlines()
    assert "0 of 1 predictions" in first
    assert first.endswith("tcp-hop-hot 1.50 (apart).")
    assert "1 of 1 predictions" in second


@pytest.mark.parametrize(("late", "shown"), [(0.04, "250"), (0.06, "250, 6% late")])
def test_table_says_where_requests_were_sent_late(late: float, shown: str) -> None:
    entry = evaluated(CASES["tcp-chain4-cold"], [one_round(10e3, 70e3, late)])
    assert row("tcp-chain4-cold", entry).split(" | ")[1] == shown


def test_table_without_a_profile_has_the_overheads(entry: dict[str, Any]) -> None:
    cases = {"tcp-hop-hot": entry}
    document = {"environment": ENVIRONMENT, "rounds": 3, "seconds": 2, "steal": 0.0, "date": "today", "cases": cases}
    text = as_text({**document, "finding": {"text": verdict(cases)}})
    row = text.splitlines()[-1].split(" | ")
    assert row[:2] == ["| tcp-hop-hot", "closed loop"]
    assert row[3].startswith("62.0 (")
    assert row[4:6] == ["–", "–"]
    assert len(CURRENCIES) * 4 + 2 == len(row)
