"""What counts as left behind on a cluster, and what its removal touches."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.objects.rendering import render
from profiler.cluster.run.leftovers import FoundRun, find_leftovers, find_runs, remove_leftovers, this_process
from profiler.cluster.run.lifecycle import create
from tests.profiler.cluster.fake_api import FakeApi
from tests.profiler.cluster.plans import plan

NEVER_S = 4e9


def run(started_by: str, deadline_s: float = NEVER_S) -> FoundRun:
    return FoundRun("0a1b2c3d", "n", True, deadline_s, started_by)


def dead_process() -> str:
    return this_process().replace(f"/{os.getpid()}.", "/1.")


def test_a_run_of_a_living_process_is_alive() -> None:
    assert run(this_process()).may_be_alive(time.time())
    assert not run(dead_process()).may_be_alive(time.time())


def test_a_run_of_another_machine_is_alive_until_its_deadline() -> None:
    other = "0123456789ab/boot/1.2"
    assert run(other).may_be_alive(NEVER_S - 1)
    assert not run(other).may_be_alive(NEVER_S + 1)


def test_a_run_of_an_earlier_boot_is_dead() -> None:
    machine, _, process = this_process().split("/")
    assert not run(f"{machine}/earlier/{process}").may_be_alive(time.time())


@pytest.mark.parametrize("process", ["", "x", "1", "1.x", "-1.5"])
def test_a_damaged_name_of_a_process_is_that_of_a_dead_one(process: str) -> None:
    machine, boot, _ = this_process().split("/")
    assert not run(f"{machine}/{boot}/{process}").may_be_alive(time.time())


def test_the_name_of_a_process_does_not_give_the_machine_away() -> None:
    machine_id = Path("/etc/machine-id")
    if machine_id.is_file():
        assert machine_id.read_text().strip() not in this_process()


def test_only_dead_runs_are_removed(ready: FakeApi, session: Session) -> None:
    create(session, plan(run_id="11111111", started_by=this_process()), None)
    create(session, plan(run_id="22222222", started_by=dead_process()), None)
    assert [found.run_id for found in find_runs(session)] == ["11111111", "22222222"]
    assert [found.run_id for found in find_leftovers(session)] == ["22222222"]
    assert [found.run_id for found in remove_leftovers(session)] == ["22222222"]
    assert [found.run_id for found in find_runs(session)] == ["11111111"]


def test_a_run_that_is_named_is_removed_whatever_it_does(ready: FakeApi, session: Session) -> None:
    create(session, plan(run_id="11111111", started_by=this_process()), None)
    remove_leftovers(session, "11111111")
    assert ready.objects == {}
    with pytest.raises(ClusterError, match="run 11111111: has no objects on the cluster of context test"):
        remove_leftovers(session, "11111111")


def test_a_run_in_a_namespace_of_the_users_is_found_by_its_owner(ready: FakeApi, session: Session) -> None:
    session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}})
    create(session, plan(namespace="theirs", own_namespace=False, started_by=dead_process()), None)
    (found,) = remove_leftovers(session)
    assert (found.namespace, found.own_namespace) == ("theirs", False)
    assert list(ready.objects) == [("namespaces", "", "theirs")]


def test_in_a_prepared_namespace_nothing_else_is_looked_at(ready: FakeApi, session: Session) -> None:
    session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshinsight"}})
    there = plan(run_id="11111111", namespace="meshinsight", own_namespace=False, prepared=True)
    create(session, replace(there, started_by=dead_process()), None)
    create(session, plan(run_id="22222222", started_by=dead_process()), None)
    ready.requests.clear()
    assert [found.run_id for found in remove_leftovers(session, inside="meshinsight")] == ["11111111"]
    assert all("/namespaces/meshinsight/" in request for request in ready.requests)
    assert [found.run_id for found in find_runs(session)] == ["22222222"]


def test_what_others_label_as_ours_without_a_run_id_is_not_looked_at(ready: FakeApi, session: Session) -> None:
    labels = {"app.kubernetes.io/managed-by": "meshinsight", "meshinsight.io/run-id": "production"}
    session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs", "labels": labels}})
    assert remove_leftovers(session) == []
    assert len(ready.objects) == 1


def test_a_run_killed_before_it_had_more_than_its_namespace_is_found(ready: FakeApi, session: Session) -> None:
    session.create(render(plan(started_by=dead_process()))[0])
    assert [found.run_id for found in remove_leftovers(session)] == ["0a1b2c3d"]
    assert ready.objects == {}
