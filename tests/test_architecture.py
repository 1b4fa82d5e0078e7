"""The arrows of the house: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "hmseg"
ENTRY_POINTS = {
    "train",
    "evaluate",
    "convert",
    "conversion",
    "export",
    "exportation",
    "episodes",
    "episode_lists",
    "predict",
    "prepare",
    "report",
    "reproduce",
    "app",
    "training",
    "evaluation",
    "evaluation_record",
    "cli",
    "assembly",
    "dashboard",
}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it, but for typing."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def modules(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted(SOURCE.glob(folder))]


def test_only_entry_points_and_config_import_hydra() -> None:
    for path in modules("**/*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[0] not in ENTRY_POINTS | {"config", "sweeps"}:
            assert not any(name.split(".")[0] in {"hydra", "omegaconf"} for name in imports(path)), path


def test_only_module_callbacks_loggers_data_module_and_entry_points_import_lightning() -> None:
    allowed = ENTRY_POINTS | {"module", "callbacks", "plugins", "tracking"}
    for path in modules("**/*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts[0] not in allowed and parts[-1] != "datamodule":
            assert not any(
                name.split(".")[0] in {"pytorch_lightning", "lightning"} for name in imports(path)
            ), path


@pytest.mark.parametrize(
    "name",
    [
        "masking/*",
        "correlation",
        "backbones/*",
        "backbones_timm",
        "timm_networks",
        "weights",
        "metrics",
        "errors",
        "exporting",
    ],
)
def test_primitives_know_nothing_above_them(name: str) -> None:
    above = (
        "hmseg.networks",
        "hmseg.module",
        "hmseg.data",
        "hmseg.train",
        "hmseg.evaluat",
        "hmseg.callbacks",
    )
    assert (paths := modules(f"{name}.py"))
    for path in paths:
        assert not any(found.startswith(above) for found in imports(path)), path


def test_networks_and_data_meet_only_in_the_module() -> None:
    for path in modules("networks/*.py"):
        assert not any(name.startswith("hmseg.data") for name in imports(path)), path
    for path in modules("data/*.py"):
        forbidden = ("hmseg.networks", "hmseg.masking", "hmseg.backbones", "hmseg.module")
        assert not any(name.startswith(forbidden) for name in imports(path)), path


def test_figures_stand_on_networks_and_data_and_know_nothing_above_them() -> None:
    above = ("hmseg.reporting", "hmseg.module", "hmseg.config", "hmseg.assembly", "hmseg.callbacks")
    for path in modules("visualise/*.py"):
        assert not any(name.startswith(above) for name in imports(path)), path
    for path in modules("**/*.py"):  # pyplot holds figures until they are closed, and asks for a screen
        assert not any(name.startswith("matplotlib.pyplot") for name in imports(path)), path


@pytest.mark.parametrize(
    "module",
    [
        "hmseg",
        "hmseg.errors",
        "hmseg.config",
        "hmseg.cli",
        "hmseg.train",
        "hmseg.evaluate",
        "hmseg.convert",
        "hmseg.export",
        "hmseg.predict",
        "hmseg.report",
        "hmseg.reproduce",
        "hmseg.app",
        "hmseg.annotations.supports",
        "hmseg.annotations.writing",
        "hmseg.webpage.serving",
        "hmseg.claims",
        "hmseg.reproduction.run",
        "hmseg.dashboard",
        "hmseg.tracking.artifacts",
        "hmseg.sweeps.work",
        "hydra_plugins.hmseg_sweeps",
    ],
)
def test_entry_points_answer_before_torch_is_imported(module: str) -> None:
    heavy = {"torch", "pytorch_lightning", "wandb", "joblib", "submitit", "optuna"}
    script = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_wandb_is_imported_where_it_is_used_and_only_for_tracking() -> None:
    for path in modules("**/*.py"):
        if not any(name.split(".")[0] == "wandb" for name in imports(path)):
            continue
        assert path.parent.name in ("tracking", "callbacks"), path
        for node in ast.parse(path.read_text()).body:  # of the file, not of its functions
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "wandb" for name in names), path


def test_public_names_are_all_there() -> None:
    import hmseg

    for name in hmseg.__all__:
        assert getattr(hmseg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hmseg.nothing
