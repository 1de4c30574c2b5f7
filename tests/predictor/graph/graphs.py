"""Random call graphs for property tests: services in a row, calls only forward, so there is no cycle."""

from hypothesis import strategies as st

from predictor.graph.types import Call, CallGraph, Ingress, Service, edge_id

_TINY = st.sampled_from([5e-324, 1e-310, 1e-200, 1e-100, 1e-13])
"""Numbers whose products and squares lose their digits, or are 0."""


@st.composite
def call_graphs(draw: st.DrawFn) -> CallGraph:
    count = draw(st.integers(1, 7))
    names = [f"s{index}" for index in range(count)]
    calls = []
    for callee in range(1, count):
        for caller in sorted(draw(st.sets(st.integers(0, callee - 1), min_size=1))):
            calls.append(
                Call(
                    id=edge_id(names[caller], names[callee]),
                    caller=names[caller],
                    callee=names[callee],
                    calls_per_request=draw(st.floats(0, 4) | _TINY),
                    stage=draw(st.integers(0, 2)),
                    asynchronous=draw(st.booleans()),
                    request_bytes=float(draw(st.integers(0, 10**6))),
                )
            )
    entry = Ingress(names[0], draw(st.floats(0, 1000) | _TINY))
    return CallGraph(tuple(Service(name) for name in names), tuple(calls), (entry,))
