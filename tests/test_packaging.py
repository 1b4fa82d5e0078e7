"""What is shipped: the wheel's files, the set-up's pins, no traces of the machine it was written on."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from hmseg.weights import BUNDLED

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and line[0] != "#"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_the_whole_package_and_conf(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    conf = {f"hmseg/{path.relative_to(ROOT)}" for path in (ROOT / "conf").rglob("*.yaml")}
    source = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "hydra_plugins/hmseg_sweeps.py" in source  # where Hydra looks for launchers
    assert "hmseg/conf/train.yaml" in conf
    assert {f"hmseg/assets/{file}" for file in BUNDLED.values()} <= source
    assert {name for name in names if ".dist-info/" not in name} == conf | source


def test_wheel_holds_licences_and_scripts(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    for path in (ROOT / "src/hmseg/assets").glob("LICENSE.*"):
        assert any(name.endswith(f"licenses/src/hmseg/assets/{path.name}") for name in names), path
    (scripts,) = (name for name in names if name.endswith("entry_points.txt"))
    text = wheel.read(scripts).decode()
    assert "hmseg-train = hmseg.train:main" in text
    assert "hmseg-evaluate = hmseg.evaluate:main" in text
    assert "hmseg-convert = hmseg.convert:main" in text


def test_conf_is_found_inside_an_unpacked_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    script = "import hmseg.config as c; print(c.conf_dir()); print(c.compose('fold=3').fold)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "site" / "hmseg" / "conf"), "3"]


def test_every_dependency_is_pinned_within_its_range() -> None:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    every = [Requirement(line) for line in (*PROJECT["dependencies"], *extras)]
    wanted = [requirement for requirement in every if requirement.name != "hmseg"]  # dev asks for the extras
    (dev,) = (requirement for requirement in every if requirement.name == "hmseg")
    assert dev.extras == set(PROJECT["optional-dependencies"]) - {"dev"}
    assert {requirement.name for requirement in wanted} == set(PINS)
    assert [str(r) for r in wanted if not r.specifier.contains(Version(PINS[r.name]))] == []


def test_torch_and_torchvision_are_pinned_as_a_pair() -> None:
    torch, torchvision = Version(PINS["torch"]), Version(PINS["torchvision"])
    assert torchvision.minor == torch.minor + 15  # 2.6 and 0.21, 2.11 and 0.26
    ranges = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    for minor in range(40):
        fits = ranges["torch"].contains(f"2.{minor}.0")
        assert fits == ranges["torchvision"].contains(f"0.{minor + 15}.0")


def test_package_and_project_have_one_version() -> None:
    import hmseg

    assert hmseg.__version__ == PROJECT["version"]


def test_set_up_names_no_machine_and_no_registry() -> None:
    files = [ROOT / name for name in ("Makefile", "constraints.txt", "pyproject.toml", ".ci/run")]
    files += [
        path for folder in ("conf", "src") for path in (ROOT / folder).rglob("*.[yp][ay]*") if path.is_file()
    ]
    trace = re.compile(r"(/(work|root|home|opt)/|--(extra-)?index-url|--find-links)")
    assert [str(path) for path in files if path.suffix != ".pyc" and trace.search(path.read_text())] == []


def test_ci_runs_the_tests_and_insists_on_the_shared_data() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    lines = script.read_text().splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make test"
    assert "  export HMSEG_REQUIRE_SHARED=1" in lines
    assert "export HMSEG_REQUIRE_BROWSER=1" in lines


def test_make_says_when_python_is_too_old(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    command = ["make", "install", "PYTHON=no-such-python"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "error: Python 3.11 or newer was not found (tried: no-such-python)" in done.stderr
    assert not (tmp_path / ".venv").exists()
