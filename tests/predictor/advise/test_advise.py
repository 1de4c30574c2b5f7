"""Advice that was worked out by hand: which changes, in which order, what each saves, and when there are none."""

from dataclasses import replace
from typing import Any

import pytest

from predictor.graph.types import Service, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.models.types import FittedModel
from predictor.predict.predict import predict
from predictor.predict.schedule import CALLER_SHARE
from predictor.what_if.scenario import Changes, changed
from profiler.errors import UsageError
from tests.predictor.advise.cases import (
    COSTS,
    EXACT,
    HTTP_NS,
    MODEL,
    TCP_NS,
    TLS_NS,
    advice,
    call,
    chain,
    cpu,
    graph,
    mean,
    memory,
    names,
    overhead,
    service,
)
from tests.predictor.models.profiles import LOADS, cell, profile

PLAIN = "protocol,tls,filter"
NO_CLIENT = ("client",)


def test_one_change_that_is_enough_is_all_there_is() -> None:
    found = advice(chain("b", "c"), overhead(HTTP_NS + TCP_NS + 2e3), keep=NO_CLIENT)
    assert found.met
    assert found.exact
    assert len(found.steps) == 1
    assert found.steps[0].mean_ns == pytest.approx(HTTP_NS - TCP_NS, rel=1e-2)


def test_the_dearest_call_is_changed() -> None:
    calls = [call("a", "b", calls_per_request=1.0), call("a", "c", calls_per_request=3.0, stage=1)]
    found = advice(graph([service("a"), service("b"), service("c")], calls), overhead(390e3), keep=NO_CLIENT)
    assert names(found) == ["protocol a->c"]


def test_changes_come_in_order_of_what_they_save() -> None:
    calls = [call("a", name, calls_per_request=n, stage=int(n)) for name, n in (("b", 1.0), ("c", 3.0), ("d", 2.0))]
    one = graph([service("a"), *(service(name) for name in "bcd")], calls)
    found = advice(one, overhead(6 * TCP_NS + 5e3), keep=NO_CLIENT)
    assert names(found) == ["protocol a->c", "protocol a->d", "protocol a->b"]
    saved = [step.mean_ns for step in found.steps if step.mean_ns is not None]
    assert saved == sorted(saved, reverse=True)
    assert sum(saved) == pytest.approx(found.before.latency["mean"].with_ns - found.after.latency["mean"].with_ns)


def test_a_cheap_call_beside_the_path_is_left_alone_for_latency() -> None:
    calls = [call("a", "b"), call("a", "c", calls_per_request=5.0, repeat="parallel")]
    one = graph([service("a"), service("b", 5e6), service("c", 1e6)], calls)
    behind = 5 * CALLER_SHARE * HTTP_NS / 2  # what the caller's sidecar does for c delays b, whatever b is
    found = advice(one, overhead(TCP_NS + behind + 2e3), keep=NO_CLIENT)
    assert names(found) == ["protocol a->b"]


def test_for_cpu_the_same_call_beside_the_path_counts_most() -> None:
    calls = [call("a", "b"), call("a", "c", calls_per_request=5.0, repeat="parallel")]
    one = graph([service("a"), service("b", 5e6), service("c", 1e6)], calls)
    found = advice(one, cpu(10 * 2 * (HTTP_NS + 5 * TCP_NS) * 1.01e-9), keep=NO_CLIENT)
    assert names(found) == ["protocol a->c"]


def test_a_path_that_moves_needs_both_branches() -> None:
    """b and c take equally long: changing one of them saves only what the caller's sidecar does for it meanwhile."""
    one = graph([service("a"), service("b"), service("c")], [call("a", "b"), call("a", "c")])
    behind = CALLER_SHARE / 2
    found = advice(one, overhead((1 + behind) * TCP_NS + 2e3), keep=NO_CLIENT)
    assert sorted(names(found)) == ["protocol a->b", "protocol a->c"]
    assert found.exact
    first, second = (step.mean_ns or 0.0 for step in found.steps)
    assert first == pytest.approx(behind * (HTTP_NS - TCP_NS), rel=5e-2)
    before, after = (predicted.latency["mean"].overhead_ns.value for predicted in (found.before, found.after))
    assert first + second == pytest.approx(before - after, rel=1e-9)
    assert after == pytest.approx((1 + behind) * TCP_NS, rel=2e-2)


def test_mtls_goes_only_where_it_may() -> None:
    one = chain("b", "c", tls="mtls")
    one = replace(one, calls=(replace(one.calls[0], required=("mtls",)), one.calls[1]))
    found = advice(one, overhead(1.0), allow=PLAIN, keep=NO_CLIENT)
    assert not found.met
    assert sorted(names(found)) == ["protocol a->b", "protocol a->c", "tls a->c"]
    assert found.after.latency["mean"].overhead_ns.value == pytest.approx(2 * TCP_NS + TLS_NS, rel=2e-2)


def test_mtls_stays_unless_it_is_allowed_to_go() -> None:
    found = advice(chain("b", tls="mtls"), overhead(TCP_NS + 2e3))
    assert not found.met
    assert any("tls" in text and "--allow tls" in text for text in found.not_considered)
    assert "--allow tls" in found.further


def test_a_required_filter_keeps_http() -> None:
    one = chain("b", filters=("lua",), required=("lua",))
    found = advice(one, overhead(50e3), allow="filter", keep=NO_CLIENT)
    assert not found.met
    assert not found.steps
    assert any("filter lua" in text and "required" in text for text in found.not_considered)


def test_a_filter_has_to_go_before_its_call_is_moved_as_tcp() -> None:
    found = advice(chain("b", filters=("lua",)), overhead(TCP_NS + 2e3), allow="filter", keep=NO_CLIENT)
    assert names(found) == ["filter a->b lua", "protocol a->b"]
    assert found.exact


def test_a_sidecar_goes_only_where_nothing_is_required() -> None:
    calls = [call("a", "b", tls="mtls", required=("mtls",)), call("a", "c", tls="mtls", stage=1)]
    found = advice(graph([service("a"), service("b"), service("c")], calls), overhead(1.0), allow="all")
    assert "none c" in names(found)
    assert not {"none a", "none b", "client a", "tls a->b"} & set(names(found))
    assert found.graph.call("a->b").tls == "mtls"
    assert found.graph.call("a->c").tls == "none"


def test_services_of_one_deployment_change_together() -> None:
    calls = [call("a", "b"), call("a", "b~2", stage=1)]
    one = graph([service("a", sidecar=Sidecar("none", "none")), service("b"), service("b~2", workload="b")], calls)
    found = advice(one, overhead(1.0), allow="none")
    assert names(found) == ["none b"]
    assert {item.sidecar.server for item in found.graph.services[1:]} == {"none"}


def test_limits_that_are_met_need_no_change() -> None:
    found = advice(chain("b"), mean(3e6), cpu(1.0))
    assert found.met
    assert not found.steps
    assert found.outcomes[0].after.value == pytest.approx(2e6 + HTTP_NS, rel=1e-2)


def test_what_services_take_themselves_cannot_be_saved() -> None:
    found = advice(chain("b"), mean(1.9e6))
    assert not found.met
    assert found.impossible
    assert found.outcomes[0].own_ns == pytest.approx(2e6)


def test_the_nearest_is_offered_where_limits_cannot_be_met() -> None:
    found = advice(chain("b", "c"), overhead(20e3), keep=NO_CLIENT)
    assert not found.met
    assert found.impossible
    assert len(found.steps) == 2
    assert found.outcomes[0].after.value == pytest.approx(2 * TCP_NS, rel=2e-2)


def test_kept_edges_and_services_are_left_alone() -> None:
    found = advice(chain("b", "c"), overhead(1.0), keep=("a->b", "client"))
    assert names(found) == ["protocol a->c"]
    assert not advice(chain("b", "c"), overhead(1.0), keep=("a",)).steps


def test_memory_is_saved_by_leaving_sidecars_out() -> None:
    """One proxy per service has 60 MB."""
    found = advice(chain("b", "c"), memory("130MB"), allow="none", keep=NO_CLIENT)
    assert found.met
    assert len(found.steps) == 1
    assert found.steps[0].change.kind == "none"


def test_settings_make_predict_give_the_promised_figures() -> None:
    options = Options(samples=3000)
    one = chain("b", "c", "d", tls="mtls", filters=("lua",))
    found = advice(one, overhead(150e3, "p99"), allow=PLAIN, keep=NO_CLIENT, options=options)
    assert found.met
    after = predict(changed(one, Changes(found.settings)), MODEL, options)
    assert after.latency == found.after.latency
    assert after.vcpu == found.after.vcpu


def test_percentiles_are_met_as_they_are_predicted() -> None:
    options = Options(samples=3000)
    one = chain("b", "c", "d")
    one = replace(one, services=tuple(replace(s, service_time=s.service_time.exponential(1e6)) for s in one.services))
    before = predict(one, MODEL, options).latency["p99"]
    bound = before.without_ns + 0.5 * before.overhead_ns.value
    found = advice(one, replace(mean(bound), statistic="p99"), keep=NO_CLIENT, options=options)
    assert found.met
    assert found.exact
    assert len(found.steps) == 2
    assert found.after.latency["p99"].with_ns <= bound
    assert sum(step.percentiles_ns["p99"] for step in found.steps) == pytest.approx(
        before.with_ns - found.after.latency["p99"].with_ns
    )


def test_what_the_profile_lacks_is_named_with_what_to_measure() -> None:
    found = advice(chain("b", protocol="http1"), overhead(1.0), allow="shared")
    assert any(text.startswith("uds: not profiled") for text in found.not_considered)
    assert any(text.startswith("shared:") and "meshinsight profile" in text for text in found.not_considered)


@pytest.mark.parametrize(("allow", "keep"), [("tsl", ()), ("", ("x->y",)), ("tls", ("tls",))])
def test_unknown_names_are_refused(allow: str, keep: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        advice(chain("b"), cpu(1.0), allow=allow, keep=keep)


def test_a_percentile_without_samples_is_refused() -> None:
    with pytest.raises(UsageError, match="--samples 0"):
        advice(chain("b"), overhead(1e6, "p99"), options=EXACT)


def test_the_interval_of_a_saving_is_that_of_the_difference() -> None:
    found = advice(chain("b"), overhead(50e3), keep=NO_CLIENT)
    interval = found.steps[0].mean_interval_ns
    assert interval is not None
    assert found.steps[0].mean_ns is not None
    assert interval[0] <= found.steps[0].mean_ns <= interval[1]


def test_a_service_without_edges_is_no_matter() -> None:
    one = chain("b")
    lonely = replace(one, services=(*one.services, Service("z")))
    assert names(advice(lonely, overhead(50e3), keep=NO_CLIENT)) == ["protocol a->b"]


def other_hops(**dimensions: Any) -> FittedModel:
    """The usual hops, and HTTP hops at a fifth of their cost under other `dimensions`."""
    cheap = {name: tuple(ns / 5 for ns in values) for name, values in COSTS["http1", "none"].items()}
    cells = [cell(COSTS["http1", "none"], load) for load in LOADS] + [cell(cheap, load, **dimensions) for load in LOADS]
    return fit_profile(profile(cells))


def test_unix_sockets_are_one_change_of_all_where_they_were_profiled() -> None:
    found = advice(chain("b", "c", "d"), overhead(0.7 * HTTP_NS), keep=NO_CLIENT, model=other_hops(transport="uds"))
    assert names(found) == ["uds "]
    assert found.transport == "uds"
    assert found.after.latency["mean"].overhead_ns.value == pytest.approx(3 * HTTP_NS / 5, rel=1e-2)


def test_a_shared_proxy_is_offered_where_it_was_profiled_and_asked_for() -> None:
    one, cheap = chain("b"), other_hops(topology="shared")
    assert not advice(one, overhead(0.3 * HTTP_NS), keep=NO_CLIENT, model=cheap).met
    found = advice(one, overhead(0.8 * HTTP_NS), keep=NO_CLIENT, allow="shared", model=cheap)
    assert found.met
    assert [step.change.kind for step in found.steps] == ["shared"]


def test_a_closed_loop_keeps_its_rate_as_it_is() -> None:
    open_ = chain("b", "c")
    closed = replace(open_, ingress=(replace(open_.ingress[0], rate_rps=0.0, connections=3),))
    now = predict(closed, MODEL, EXACT)
    found = advice(closed, cpu(0.6 * now.vcpu.value), keep=NO_CLIENT)
    assert found.before.vcpu.value == pytest.approx(now.vcpu.value)
    assert found.met
    assert found.after.edges[0].rate_rps == pytest.approx(now.edges[0].rate_rps)
    assert found.graph.ingress[0].connections == 3
