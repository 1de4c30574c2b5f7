"""A made-up result of attach."""

from profiler.attach.results import (
    COMPLETE,
    Attached,
    Component,
    Direction,
    MessageTimes,
    Overhead,
    TargetResult,
    WakeUps,
)

TARGET = TargetResult(
    label="pid 7 (envoy)",
    pids=(7,),
    program="/usr/bin/envoy",
    proxy="envoy",
    ended=False,
    vcpus=0.5,
    cpu_ns_per_message=50_000.0,
    samples=1000,
    probe_share=0.001,
    components={
        "other": Component(0.1, 0.2, 0.01, 10_000.0),
        "socket_read": Component(0.4, 0.8, 0.01, 40_000.0),
    },
    messages=MessageTimes(10_000.0, 3000, 12, {"request": Direction(1500, 20_000.0, 40_000.0, 90_000.0)}),
    wake_ups=WakeUps(12_300.0, 3690, 2251, 2251 / 3690),
    warnings=("user time is not split",),
)


OVERHEAD = Overhead(0.01, 0.0084, 0.004, 0.003, 0.0014, 0.6, 70, 0.05, 300, 215.0, 60.0, 10_000.0, 80.0)


FOUND = Attached(COMPLETE, 30.0, 30.0, OVERHEAD, (TARGET,), {}, ())
