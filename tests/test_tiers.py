"""The rules of tests/conftest.py, tried on small test sessions of their own."""

from pathlib import Path

import pytest

CONFTEST = (Path(__file__).parent / "conftest.py").read_text()
MARKERS = "[pytest]\nmarkers =\n    kernel: x\n    cluster: x\n    browser: x\n    timing: x\n"
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


def fails_once(count: int, others: int = 0, marker: str = "@pytest.mark.timing") -> str:
    """A module of tests that fail at the first attempt, and of others that do not."""
    rest = f"@pytest.mark.parametrize('number', range({others}))\ndef test_other(number): pass" if others else ""
    return f"""
import pytest
tried = set()

{marker}
@pytest.mark.parametrize('number', range({count}))
def test_once(number):
    again = number in tried
    tried.add(number)
    assert again

{rest}
"""


def test_a_timing_test_that_fails_once_is_tried_again_and_listed(pytester: pytest.Pytester) -> None:
    result = session(pytester, CAN, fails_once(1))
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*1 of 1 tests were tried again: within the limit*", "*::test_once[[]0]"])


@pytest.mark.parametrize("marker", ["", "@pytest.mark.kernel", "@pytest.mark.cluster"])
def test_no_other_test_is_tried_again(pytester: pytest.Pytester, marker: str) -> None:
    assert session(pytester, CAN + "\nGAPS['cluster'] = lambda: None\n", fails_once(1, 0, marker)).ret != 0


@pytest.mark.parametrize(
    ("again", "others", "status"),
    [
        (3, 0, pytest.ExitCode.OK),
        (4, 0, pytest.ExitCode.TESTS_FAILED),
        (4, 396, pytest.ExitCode.OK),
        (5, 396, pytest.ExitCode.TESTS_FAILED),
    ],
)
def test_more_than_one_per_cent_tried_again_fails_the_session(
    pytester: pytest.Pytester, again: int, others: int, status: pytest.ExitCode
) -> None:
    result = session(pytester, CAN, fails_once(again, others))
    assert result.ret == status
    result.stdout.fnmatch_lines([f"*{again} of {again + others} tests were tried again*", f"*[[]{again - 1}]"])
    result.assert_outcomes(passed=again + others)


def test_a_test_that_is_tried_twice_counts_once(pytester: pytest.Pytester) -> None:
    text = "import pytest\ntried = []\n@pytest.mark.timing\ndef test_it(): tried.append(1); assert len(tried) > 2"
    result = session(pytester, CAN, text)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*1 of 1 tests were tried again*"])


@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("tier", ["@pytest.mark.kernel", "@pytest.mark.timing", ""])
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
