"""What is wrong with a pod, in the cluster's own words."""

from typing import Any

import pytest

from profiler.cluster.api.pod_state import (
    container_statuses,
    failed_container,
    failure,
    hopeless_event,
    is_ready,
    last_warning,
    unschedulable,
)


def pod(phase: str = "Pending", *, deleted: bool = False, **status: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "a", "namespace": "n"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "status": {"phase": phase, **status}}


def container(name: str = "c", **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_a_pod_is_ready_when_it_runs_and_says_so() -> None:
    assert is_ready(pod("Running", conditions=[condition("Ready", "True")]))
    assert not is_ready(pod("Running", conditions=[condition("Ready", "False")]))
    assert not is_ready(pod("Running", deleted=True, conditions=[condition("Ready", "True")]))


def test_a_pod_that_is_coming_up_has_not_failed() -> None:
    waiting = container(waiting={"reason": "ContainerCreating"})
    assert failure(pod(containerStatuses=[waiting])) is None
    assert failure(pod(initContainerStatuses=[container(terminated={"exitCode": 0})])) is None


def test_the_scheduler_says_why_no_node_takes_a_pod() -> None:
    said = condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")
    assert unschedulable(pod(conditions=[said])) == "no node takes it: 0/1 nodes are available: 1 Insufficient cpu"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"containerStatuses": [container(waiting={"reason": "ImagePullBackOff", "message": 'Back-off pulling "x"'})]},
         r'container c: the image cannot be pulled; check --image .*\(ImagePullBackOff: Back-off pulling "x"\)'),
        ({"containerStatuses": [container(waiting={"reason": "ErrImageNeverPull", "message": "no"})]}, "import it"),
        ({"containerStatuses": [container(waiting={"reason": "CrashLoopBackOff", "message": "b"})]}, "again and"),
        ({"initContainerStatuses": [container("capture", terminated={"exitCode": 3, "reason": "Error"})]},
         r"init container capture ended with exit status 3 \(Error\)"),
        ({"containerStatuses": [container(terminated={"exitCode": 137, "reason": "OOMKilled"})]}, "more memory than"),
        ({"containerStatuses": [container(terminated={"exitCode": 0, "reason": "Completed"})]}, "exit status 0"),
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on: x."}, "was low on: x$"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, "its deadline"),
        ({"conditions": [condition("DisruptionTarget", "True", "EvictionByEvictionAPI", "evicting")]}, "drained"),
        ({"phase": "Failed"}, "no reason is given"),
    ],
)  # fmt: skip
def test_a_pod_that_will_not_do_any_more_says_why(status: dict[str, Any], expected: str) -> None:
    status = {"phase": "Pending", **status}
    with pytest.raises(ValueError, match=expected):
        raise ValueError(failure(pod(**status)))


def test_a_pod_that_somebody_deletes_is_said_to_be_drained() -> None:
    assert "as when its node is drained" in str(failure(pod("Running", deleted=True)))


def test_the_container_with_the_log_is_the_one_that_ended_badly() -> None:
    well, badly = container("a", terminated={"exitCode": 0}), container("b", terminated={"exitCode": 1})
    assert failed_container(pod(initContainerStatuses=[well], containerStatuses=[badly])) == "b"
    assert failed_container(pod(containerStatuses=[well])) is None


def test_the_newest_warning_counts() -> None:
    events: list[dict[str, Any]] = [
        {"type": "Warning", "reason": "FailedMount", "message": "old", "lastTimestamp": "2026-01-01T00:00:00Z"},
        {
            "type": "Warning",
            "reason": "Failed",
            "message": "new",
            "series": {"lastObservedTime": "2026-01-01T00:00:09Z"},
        },
        {"type": "Normal", "reason": "Pulled", "message": "fine", "lastTimestamp": "2026-01-02T00:00:00Z"},
    ]
    assert last_warning(events) == "Failed: new"
    assert last_warning([]) is None


def test_a_node_without_tracefs_is_recognised_by_its_event() -> None:
    message = "SetUp failed for volume tracefs : hostPath type check failed: /sys/kernel/tracing is not a directory"
    assert "/sys/kernel/tracing is not a directory" in str(
        hopeless_event([{"reason": "FailedMount", "message": message}])
    )
    assert hopeless_event([{"reason": "FailedMount", "message": "secret not found"}]) is None


def test_sidecars_that_start_as_init_containers_are_containers_too() -> None:
    assert set(
        container_statuses(pod(initContainerStatuses=[container("proxy")], containerStatuses=[container("app")]))
    ) == {
        "proxy",
        "app",
    }
