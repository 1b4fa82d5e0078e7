"""The notebooks: stored without outputs, and run whole, with tiny settings, on embedded data."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TINY: dict[str, dict[str, Any]] = {
    "1": {"SIDE": 96, "EPISODE": 3, "COUNTED": 6},
    "2": {"SIDE": 64, "EPOCHS": 1, "TRAIN_EPISODES": 8, "TEST_EPISODES": 10},
    "3": {"SIDE": 96},
    "4": {"SIDE": 64, "EPOCHS": 1, "TRAIN_EPISODES": 8, "TEST_EPISODES": 10},
    "5": {"SIDE": 64, "STEPS": 3, "BATCH": 2, "TESTED": 5},
}
"""What stands in the cell tagged ``parameters``, so small that all of them take a minute."""
PICTURES = {"1": 6, "2": 3, "3": 4, "4": 4, "5": 3}
"""How many each shows."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def with_parameters(notebook: Any, values: dict[str, Any]) -> Any:
    """The notebook with a cell of other values behind its parameters, as papermill does it."""
    (place,) = (n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    given = {name.partition(" =")[0] for name in notebook.cells[place].source.splitlines()}
    assert set(values) <= given, "a parameter that the notebook does not have"
    text = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(text))
    return notebook


def pictures(notebook: Any) -> list[np.ndarray]:
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {}).get("image/png")
            if data:
                found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")))
    return found


def test_there_are_five() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith(
        f"# {path.name[0]}. "
    )
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags"}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}  # no version of somebody's Python


@pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_pictures(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):  # nothing is left behind
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = with_parameters(read(path), TINY[path.name[0]])
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    shown = pictures(notebook)
    assert len(shown) == PICTURES[path.name[0]]
    assert all(each.std() > 5 for each in shown)  # none is blank
    errors = [o for cell in notebook.cells for o in cell.get("outputs", ()) if o.get("name") == "stderr"]
    assert not errors, errors  # no warning
