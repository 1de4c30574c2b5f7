"""Keys and tokens of a run: who can read them while it lasts, and that they go with it."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.host.programs import run_tool
from profiler.proxies.base import PROXY_UID
from profiler.testbed.leftovers import remove_leftovers
from profiler.testbed.run import Run
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load
from profiler.workload.generators.h2load import H2load
from tests.profiler.testbed.conftest import Driver
from tests.profiler.testbed.hops import Deployed, deploy

pytestmark = pytest.mark.kernel
NOBODY = 65534


def readable(folder: Path, uid: int = NOBODY) -> set[str]:
    """Names of the files below a folder that a user can read."""
    user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    script = 'find "$1" -type f -readable -printf "%f\\n" 2>/dev/null; true'
    return set(run_tool([*user, "sh", "-c", script, "sh", str(folder)]).split())


def holding(folder: Path, secret: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


@pytest.fixture
def deployed(run: Run) -> Deployed:
    return deploy(run, Hop("http1", "both", tls="mtls", filters=("jwt_authn",)))


def test_another_user_can_read_nothing_but_who_owns_the_run(run: Run, deployed: Deployed) -> None:
    deployed.load(Load(2, 100.0, 10, 1024, extra_headers=("authorization: Bearer ${token}",)))
    assert readable(run.directory) == {"owner.json"}


def test_each_sidecar_has_the_key_in_a_folder_of_its_users_own(run: Run, deployed: Deployed) -> None:
    key = deployed.secrets.certificates.key.read_bytes()
    holders = [path for path in holding(run.directory, key) if path != deployed.secrets.certificates.key]
    assert len(holders) == 2
    for path in holders:
        for place, mode in ((path, 0o600), (path.parent, 0o700)):
            assert place.stat().st_uid == PROXY_UID
            assert stat.S_IMODE(place.stat().st_mode) == mode


def test_the_runs_own_copy_is_out_of_the_sidecars_reach(run: Run, deployed: Deployed) -> None:
    folder = deployed.secrets.certificates.key.parent
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (0, 0o700)


def test_the_token_is_in_no_arguments(run: Run, deployed: Deployed) -> None:
    token = deployed.secrets.token.token.encode()
    load = deployed.secrets.filled(Load(1, None, 10, 1024, extra_headers=("authorization: Bearer ${token}",)))
    directory = run.add_directory("load")
    argv = H2load().argv(deployed.deployment.target, load, 2.0, directory)
    process = run.spawn("h2load", argv, netns=deployed.deployment.client.namespace)
    while not H2load().started(directory):
        process.check()
    process.hide_argument(token.decode())
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        assert token not in entry.read_bytes()
    assert process.wait(20) == 0
    result = H2load().result(directory)
    assert result.failed == 0  # each request carried it all the same
    assert len(result.due_ns) > 10


def test_keys_of_a_killed_run_go_with_cleanup(state_dir: Path, drive: Callable[..., Driver]) -> None:
    driver = drive("keys")
    driver.reach("keys")
    assert list((state_dir / driver.run_id).rglob("key.pem"))
    driver.kill()
    remove_leftovers(state_dir)
    assert not (state_dir / driver.run_id).exists()


def test_a_program_may_open_its_standard_output_by_name(run: Run) -> None:
    process = run.spawn("talker", ["sh", "-c", "echo hello >> /dev/stdout"], uid=PROXY_UID)
    assert process.wait(10) == 0, process.log_path.read_text()
    assert process.log_path.read_text() == "hello\n"
