"""The rules of tests/conftest.py, tried on small test sessions of their own."""

from pathlib import Path

import pytest

CONFTEST = (Path(__file__).parent / "conftest.py").read_text()
MARKERS = "[pytest]\nmarkers =\n    kernel: x\n    cluster: x\n    browser: x\n"
CAN = "\nGAPS['kernel'] = lambda: None\n"
CANNOT = "\nGAPS['kernel'] = lambda: 'no tracefs'\n"


def session(pytester: pytest.Pytester, machine: str, test_module: str) -> pytest.RunResult:
    pytester.makeini(MARKERS)
    pytester.makeconftest(CONFTEST + machine)
    pytester.makepyfile(test_module)
    return pytester.runpytest_inprocess("-ra")


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHINSIGHT_REQUIRE_TIERS", "1")


SKIPS_ITSELF = "import pytest\n@pytest.mark.kernel\ndef test_probe(): pytest.skip('not today')"
KERNEL_TEST = "import pytest\n@pytest.mark.kernel\ndef test_probe(): pass"


@pytest.mark.usefixtures("required")
def test_skip_in_a_runnable_tier_fails_the_session(pytester: pytest.Pytester) -> None:
    result = session(pytester, CAN, SKIPS_ITSELF)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*skipped, although this machine can run them*", "*::test_probe"])


@pytest.mark.usefixtures("required")
def test_skip_of_a_test_without_tier_fails_the_session(pytester: pytest.Pytester) -> None:
    result = session(pytester, CANNOT, "import pytest\ndef test_sum(): pytest.skip('later')")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.usefixtures("required")
def test_skip_of_a_whole_module_fails_the_session(pytester: pytest.Pytester) -> None:
    result = session(pytester, CAN, "import pytest\npytest.importorskip('no_such_module')\ndef test_sum(): pass")
    assert result.ret != pytest.ExitCode.OK


@pytest.mark.usefixtures("required")
def test_tier_the_machine_lacks_is_skipped_with_its_reason(pytester: pytest.Pytester) -> None:
    result = session(pytester, CANNOT, KERNEL_TEST)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["SKIPPED*kernel tier: no tracefs"])


@pytest.mark.usefixtures("required")
def test_kernel_test_that_fails_once_is_tried_again_and_listed(pytester: pytest.Pytester) -> None:
    once = "import pytest\ntried = []\n@pytest.mark.kernel\ndef test_probe(): tried.append(1); assert len(tried) > 1"
    result = session(pytester, CAN, once)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*1 passed, 1 rerun*"])


@pytest.mark.parametrize(("folder", "status"), [("testbed", pytest.ExitCode.OK), (".", pytest.ExitCode.TESTS_FAILED)])
def test_only_folders_of_the_project_say_what_is_tried_again(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, folder: str, status: pytest.ExitCode
) -> None:
    monkeypatch.chdir(pytester.mkdir("workload"))  # where the checkout lies says nothing
    monkeypatch.setattr(pytester, "_path", Path.cwd())
    (Path.cwd() / folder).mkdir(exist_ok=True)
    (Path.cwd() / folder / "test_once.py").write_text(
        "tried = []\ndef test_it(): tried.append(1); assert len(tried) > 1"
    )
    assert session(pytester, CAN, "").ret == status


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("tier", ["@pytest.mark.kernel", ""])
def test_what_is_broken_fails(pytester: pytest.Pytester, tier: str) -> None:
    result = session(pytester, CAN, f"import pytest\n{tier}\ndef test_probe(): assert False")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.usefixtures("required")
def test_expected_failure_is_no_skip(pytester: pytest.Pytester) -> None:
    result = session(pytester, CAN, "import pytest\n@pytest.mark.xfail\ndef test_sum(): assert False")
    assert result.ret == pytest.ExitCode.OK


def test_without_the_requirement_a_skip_is_only_shown(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MESHINSIGHT_REQUIRE_TIERS", raising=False)
    assert session(pytester, CAN, SKIPS_ITSELF).ret == pytest.ExitCode.OK
