"""The program: masks, overlays and summary; bad files, interruption, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from called import Call, caller
from hmseg import Segmenter
from hmseg.data.reading import read_label_map
from hmseg.files import owned
from hmseg.predict import PROGRAM
from hmseg.predicting import run
from made_checkpoints import write_checkpoint

GIVEN = ("ckpt=a.ckpt", "support=support", "query=photos", "out=out")


def picture(path: Path, seed: int, size: tuple[int, int] = (50, 70)) -> None:
    """A bright rectangle on noise; for a support its mask is a PNG of the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 90, (*size, 3), dtype=np.uint8)
    pixels[10:40, 20:50] += 150
    Image.fromarray(pixels).save(path)


def mask(path: Path, size: tuple[int, int] = (50, 70)) -> None:
    pixels = np.zeros(size, dtype=np.uint8)
    pixels[10:40, 20:50] = 255
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "a.ckpt"
    write_checkpoint(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes with a support each, and three photos of different sizes; the current folder."""
    (tmp_path / "a.ckpt").symlink_to(checkpoint)
    for number, name in enumerate(("cat", "dog")):
        picture(tmp_path / f"support/{name}/a.jpg", number)
        mask(tmp_path / f"support/{name}/a.png")
    for number, size in enumerate(((50, 70), (64, 64), (90, 60))):
        picture(tmp_path / f"photos/{number}.jpg", 10 + number, size)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(PROGRAM, monkeypatch, capsys)


def files(folder: Path) -> list[str]:
    there = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return sorted(str(path.relative_to(folder)) for path in there)


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out/summary.json").read_text())
    return found


RESULTS = [f"{kind}/{n}.{ending}" for kind, ending in (("masks", "png"), ("overlays", "jpg")) for n in "012"]
FINISHED = sorted([*RESULTS, "masks/class_names.txt", "summary.json", "supports.jpg"])


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools under NumPy 2
def test_results_are_the_segmenters_and_the_summary_is_cocos(call: Call, folder: Path) -> None:
    outcome = call(*GIVEN, "device=cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert "supports: cat (1), dog (1)" in outcome.out
    assert outcome.out.rstrip().endswith("written to out/summary.json")
    assert files(folder / "out") == FINISHED
    segmenter = Segmenter.from_checkpoint("a.ckpt", device="cpu")
    for name in ("cat", "dog"):
        segmenter.fit(f"support/{name}/a.jpg", f"support/{name}/a.png", name=name)
    coco = COCO("out/summary.json")
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == ["cat", "dog"]
    for image in coco.loadImgs(coco.getImgIds()):
        expected = segmenter.predict(image["file_name"])
        labels = read_label_map(folder / "out" / image["mask"])
        assert np.array_equal(labels, expected.labels)
        assert labels.shape == (image["height"], image["width"])
        painted = np.zeros_like(labels)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            shown = coco.annToMask(annotation).astype(bool)
            painted[shown] = annotation["category_id"]
            assert annotation["area"] == shown.sum()
            score = expected.scores[annotation["category_id"] - 1][shown].mean()
            assert annotation["score"] == pytest.approx(score, abs=1e-4)
        assert np.array_equal(painted, labels)
        assert image["seconds"] > 0 and set(image["best_score"]) == {"cat", "dog"}
        assert image["presence"] == pytest.approx(
            dict(zip(expected.names, expected.presence, strict=True)), abs=1e-4
        )
        assert image["absent"] == []
        with Image.open(folder / "out" / image["overlay"]) as overlay:
            assert overlay.size == (image["width"], image["height"])
    assert summary(folder)["failed"] == []
    assert summary(folder)["info"]["checkpoint"]["file"] == "a.ckpt"


def test_a_class_that_is_not_there_gets_an_empty_mask_and_is_listed(call: Call, folder: Path) -> None:
    assert call(*GIVEN).code == 0
    values = [image["presence"]["cat"] for image in summary(folder)["images"]]
    least = sum(sorted(values)[:2]) / 2
    outcome = call(*GIVEN, f"presence={least}", "overwrite=true")
    assert outcome.code == 0
    for image, value in zip(summary(folder)["images"], values, strict=True):
        assert ("cat" in image["absent"]) == (value < least)
        labels = read_label_map(folder / "out" / image["mask"])
        assert ("cat" in image["absent"]) <= (not (labels == 1).any())
    assert any("cat" in image["absent"] for image in summary(folder)["images"])


def test_a_bad_file_is_listed_at_the_end_and_tried_again(call: Call, folder: Path) -> None:
    good = (folder / "photos/1.jpg").read_bytes()
    (folder / "photos/1.jpg").write_bytes(good[: len(good) // 2])
    (folder / "photos/note.png").write_text("no image")
    outcome = call(*GIVEN)
    assert outcome.code == 1
    assert outcome.err == "error: 2 of 4 images could not be used, see the list above\n"
    assert "not used: image photos/1.jpg is damaged" in outcome.out
    assert "not used: image photos/note.png is not an image" in outcome.out
    assert [each["file_name"] for each in summary(folder)["failed"]] == ["photos/1.jpg", "photos/note.png"]
    assert [each["name"] for each in summary(folder)["images"]] == ["0", "2"]
    before = {name: (folder / "out/masks" / name).stat().st_mtime_ns for name in ("0.png", "2.png")}

    (folder / "photos/1.jpg").write_bytes(good)
    (folder / "photos/note.png").unlink()
    assert call(*GIVEN).code == 2  # not without being told
    outcome = call(*GIVEN, "resume=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert [each["name"] for each in summary(folder)["images"]] == ["0", "1", "2"]
    assert files(folder / "out") == FINISHED
    assert before == {name: (folder / "out/masks" / name).stat().st_mtime_ns for name in before}


def test_an_interrupted_run_goes_on(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, written = run.write, []

    def write(result: Any, query: Any, targets: Any) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(query.name)
        whole(result, query, targets)

    monkeypatch.setattr(run, "write", write)
    outcome = call(*GIVEN)
    assert outcome.code == 130
    assert "1 of 3 images are done; the same command with resume=true goes on" in outcome.out
    assert files(folder / "out") == ["masks/0.png", "overlays/0.jpg", "summary.unfinished", "supports.jpg"]

    again: list[str] = []
    monkeypatch.setattr(run, "write", lambda r, q, t: (again.append(q.name), whole(r, q, t)))
    outcome = call(*GIVEN, "resume=true", "side=96")
    assert outcome.code == 1 and "results of another checkpoint, supports or settings" in outcome.err
    assert call(*GIVEN, "resume=true").code == 0
    assert again == ["1", "2"]
    assert len(summary(folder)["images"]) == 3
    assert files(folder / "out") == FINISHED


def test_nothing_is_written_over_without_being_told(call: Call, folder: Path) -> None:
    (folder / "out/masks").mkdir(parents=True)
    (folder / "out/masks/1.png").write_text("mine")
    outcome = call(*GIVEN)
    assert outcome.code == 2
    assert outcome.err.startswith("error: out=out: out/masks/1.png is there already; give another folder")
    assert files(folder / "out") == ["masks/1.png"]
    assert call(*GIVEN, "overwrite=true", "overlays=false").code == 0
    assert files(folder / "out") == [
        *("masks/0.png", "masks/1.png", "masks/2.png", "masks/class_names.txt", "summary.json")
    ]
    assert read_label_map(folder / "out/masks/1.png").shape == (64, 64)


def test_another_masking_and_other_settings(call: Call, folder: Path) -> None:
    words = ("masking=input", "masking.fill=black", "side=96", "aggregation=mean_logits", "batch=2")
    assert call(*GIVEN, *words).code == 0
    info = summary(folder)["info"]
    assert info["masking"] == "InputMasking(fill='black', dilate=0)"
    assert (info["side"], info["aggregation"]) == (96, "mean_logits")


def test_a_bad_support_stops_before_anything_is_written(call: Call, folder: Path) -> None:
    mask(folder / "support/dog/a.png", (10, 10))
    outcome = call(*GIVEN)
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "mask support/dog/a.png is 10x10 pixels, 70x50 were expected, the size of its image" in outcome.err
    assert not (folder / "out").exists()


REFUSALS = {
    "support=support query=photos": "out: a value is required",
    "support=none query=photos out=out": "support=none: there is no such file or folder",
    "support=support support_images=no query=photos out=out": "support_images=no: there is no such folder",
    "support=a.ckpt query=photos out=out": "support=a.ckpt: expected a JSON file of COCO or LabelMe",
    "support=support query=photos out=out format=tif": "unknown format 'tif': did you mean 'tiff'",
    "support=support query=none out=out": "query=none: no image there",
    "support=support query=photos out=a.ckpt": "out=a.ckpt: this is a file",
    "support=support query=photos out=out ckpt=none.ckpt": "ckpt=none.ckpt: there is no such file",
    "support=support query=photos out=out side=32": "side: expected at least 64, got 32",
    "support=support query=photos out=out batch=0": "batch: expected at least 1, got 0",
    "support=support query=photos out=out refine=guided": "unknown refine 'guided'",
    "support=support query=photos out=out presence=2": "presence: expected a cosine, -1 to 1, got 2",
    "support=support query=photos out=out precision=half": "unknown precision 'half'",
    "support=support query=photos out=out aggregation=votes": "unknown aggregation 'votes'",
    "support=support query=photos out=out overwrite=true resume=true": "overwrite, resume: both came",
    "support=support query=photos out=out masking=hybird": "",
    "support=support query=photos out=out qury=1": "unknown key 'qury': did you mean 'query'",
    "support=support query=photos out=out name=''": "name: expected the name of the class",
}


@pytest.mark.parametrize("words", REFUSALS)
def test_refusals_are_one_line_and_write_nothing(call: Call, folder: Path, words: str) -> None:
    before = files(folder)
    outcome = call(*words.split())
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"error: {REFUSALS[words]}")
    assert files(folder) == before


def test_the_real_command_line(folder: Path) -> None:
    (folder / "photos/2.jpg").write_text("no image")
    command = [sys.executable, "-m", "hmseg.predict", "ckpt=a.ckpt", "support=support/cat", "name=cat"]
    result = subprocess.run(
        [*command, "query=photos/*.jpg", "out=my results"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "cat: found in" in result.stdout
    assert "not used: image photos/2.jpg is not an image" in result.stdout
    assert result.stderr.splitlines()[-1] == "error: 1 of 3 images could not be used, see the list above"
    assert "Traceback" not in result.stderr + result.stdout
    assert (folder / "my results/masks/0.png").is_file() and not (folder / "my results/masks/2.png").exists()


def test_the_help_names_everything(call: Call) -> None:
    outcome = call("--help")
    assert outcome.code == 0
    for key in ("ckpt", "support", "query", "out", "overwrite", "resume", "masking", "hybrid_soft"):
        assert key in outcome.out


def test_a_folder_that_another_prediction_writes_to_is_refused(call: Call, folder: Path) -> None:
    with owned(folder / "out" / ".lock", "it"):
        outcome = call(*GIVEN, "device=cpu")
    assert outcome.code == 1 and not (folder / "out" / "summary.json").exists()
    assert outcome.err.startswith("error: out=out is in use by process ")
