"""``hmseg.convert`` as typed: published files of all three models into checkpoints to evaluate, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import hmseg
from called import Outcome, caller
from hmseg import conversion, convert, evaluation
from hmseg.assembly import build_datamodule
from hmseg.baselines import score
from hmseg.config import compose
from hmseg.files import sha256
from hmseg.networks import FewShotNetwork
from hmseg.run_checkpoints import fingerprint, read_checkpoint
from tiny import LIGHTNING_WARNINGS

pytestmark = LIGHTNING_WARNINGS

MODELS = ("hsnet", "asnet", "vat")
MASKING = {"hsnet": "feature", "asnet": "none", "vat": "hybrid"}
BUFFERS = ("relative_position_index", "attn_mask")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the entry point in ``tmp_path``, whose ``hub`` is torch's empty download cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return caller(convert.PROGRAM, monkeypatch, capsys)


@pytest.fixture(scope="module")
def networks() -> dict[str, FewShotNetwork]:
    """Trained ones, so to speak; VAT's on a grid that takes a sixteenth of the time."""
    torch.manual_seed(1)
    options = {"vat": {"side": 64}}
    return {
        model: hmseg.build_network(model, masking, "mobilenet_v2", "bundled", **options.get(model, {}))
        for model, masking in MASKING.items()
    }


def published_names(network: FewShotNetwork) -> dict[str, Tensor]:
    """The names of section 12, put together without our export, a classifier among them as in real files."""
    prefix = "learner." if type(network.head).__name__ == "ASNetHead" else "hpn_learner."
    state = {f"backbone.{name}": value for name, value in network.backbone.state_dict().items()}
    state |= {f"{prefix}{name}": value for name, value in network.head.state_dict().items()}
    state |= {f"{prefix}{n}": v for n, v in network.head.named_buffers() if n.endswith(BUFFERS)}
    return state | {"backbone.classifier.1.bias": torch.arange(10.0)}


def published_file(model: str, state: dict[str, Tensor], path: Path) -> Path:
    """A file in the format of the model's published code."""
    wrapped = {f"module.{name}": value for name, value in state.items()}
    content: dict[str, dict[str, Any]] = {
        "hsnet": wrapped,
        "vat": {"epoch": 7, "state_dict": wrapped, "optimizer": {"state": {}}, "scheduler": {"gamma": 0.5}},
        "asnet": {"epoch": 7, "global_step": 9, "pytorch-lightning_version": "1.3.8", "state_dict": state},
    }
    torch.save(content[model], path, _use_new_zipfile_serialization=model != "hsnet")
    return path


@pytest.fixture(scope="module")
def files(networks: dict[str, FewShotNetwork], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("published")
    return {m: published_file(m, published_names(n), folder / f"{m}.pt") for m, n in networks.items()}


def words_for(model: str, source: Path, out: str = "out.ckpt") -> tuple[str, ...]:
    chosen = (f"model={model}", f"masking={MASKING[model]}", "backbone=mobilenet_v2")
    return (f"source={source}", f"out={out}", *chosen, *(["model.side=64"] if model == "vat" else []))


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize("model", MODELS)
def test_there_and_back_bit_for_bit(model: str, call: Any, networks: Any, files: Any, tmp_path: Path) -> None:
    outcome = call(*words_for(model, files[model]), "fold=2", "dataset=pascal")
    assert (outcome.code, outcome.err) == (0, "")
    for text in (
        "backbone: identical with",
        "pascal, fold 2, which the file can't",
        "evaluate ckpt=out.ckpt",
    ):
        assert text in outcome.out

    checkpoint = read_checkpoint(tmp_path / "out.ckpt")
    theirs = networks[model].state_dict()
    assert_equal({n.removeprefix("network."): v for n, v in checkpoint["state_dict"].items()}, theirs)
    assert checkpoint.get("epoch") == (None if model == "hsnet" else 7)
    about = checkpoint["hmseg"]
    assert about["backbone_weights"] == "checkpoint"
    assert about["backbone_fingerprint"] == fingerprint(networks[model].backbone)
    assert about["imported"] == {
        "file": f"{model}.pt",
        "sha256": sha256(files[model]),
        "backbone": {"result": "identical"},
    }
    assert str(files[model].parent) not in json.dumps(about)

    (tmp_path / "hub/checkpoints").mkdir(parents=True)  # the classifier is published with the backbone
    known = {
        n.removeprefix("backbone."): v for n, v in published_names(networks[model]).items() if "backbone" in n
    }
    torch.save(known, tmp_path / "hub/checkpoints/mobilenet_v2-b0353104.pth")
    outcome = call("source=out.ckpt", "out=back.pt", "export=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert "strict=False" not in outcome.out
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert ("state_dict" in back) == (model != "hsnet")
    before = torch.load(files[model], weights_only=True)
    assert_equal(back.get("state_dict", back), before.get("state_dict", before))
    assert back.get("epoch") == checkpoint.get("epoch")


@pytest.mark.parametrize("model", MODELS)
def test_evaluate_takes_the_checkpoint(
    model: str, call: Any, files: Any, networks: Any, tmp_path: Path
) -> None:
    """The published network's own scores, without any other weights at hand."""
    size = ("dataset=shapes", "dataset.image_size=64", "dataset.source.val_images=40")
    assert call(*words_for(model, files[model]), *size, "fold=1").code == 0
    few = ("loader.test_episodes=4", "loader.num_workers=0", "trainer.accelerator=cpu")
    cfg = compose("ckpt=out.ckpt", *few, config_name="evaluate")
    assert (cfg.fold, cfg.dataset.image_size, cfg.backbone.weights) == (1, 64, "checkpoint")
    assert cfg.masking == compose(f"masking={MASKING[model]}").masking
    evaluation.run(cfg)
    (path,) = tmp_path.glob("out.shapes-fold1-*.json")
    record = json.loads(path.read_text())
    assert record["checkpoint"]["origin"] == "imported"
    assert record["checkpoint"]["imported"]["sha256"] == sha256(files[model])
    assert record["backbone"] == {
        "weights": "checkpoint",
        "fingerprint": fingerprint(networks[model].backbone),
    }
    data = build_datamodule(cfg)
    scores, _ = score({"theirs": networks[model]}, data.whole_test(), data.test_classes)["theirs"]
    assert (record["miou"], record["episodes"]) == (pytest.approx(scores.miou, abs=1e-3), 4)


@pytest.mark.parametrize(
    ("model", "size", "resize", "protocol"), [("vat", 473, "opencv", "hsnet"), ("asnet", 400, "pil", "ifsl")]
)
def test_published_defaults_are_stored_and_used(
    model: str, size: int, resize: str, protocol: str, call: Any, files: Any, tmp_path: Path
) -> None:
    """The recipe's, as training with this model and data set would take them."""
    assert call(*words_for(model, files[model])).code == 0
    stored = read_checkpoint(tmp_path / "out.ckpt")["hmseg"]["config"]
    assert stored.keys() == {"fold", "shot", "seed", "model", "masking", "backbone", "dataset", "loader"}
    assert stored["loader"] == {"protocol": protocol, "resize": resize}
    for words, drawn in (((), protocol), (("protocol=strict",), "strict")):
        cfg = compose("ckpt=out.ckpt", *words, config_name="evaluate")
        assert (cfg.dataset.name, cfg.dataset.image_size, cfg.fold) == ("pascal", size, 0)
        assert (cfg.loader.resize, cfg.loader.protocol, cfg.protocol) == (resize, drawn, drawn)


def change(state: dict[str, Tensor], **changes: Tensor | None) -> dict[str, Tensor]:
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    kept = {name: value for name, value in state.items() if changed.get(name, value) is not None}
    return kept | {name: value for name, value in changed.items() if value is not None}


def test_misfits_are_a_table_and_one_line(call: Any, networks: Any, tmp_path: Path) -> None:
    state = change(
        published_names(networks["hsnet"]),
        hpn_learner__decoder2__2__bias=None,
        hpn_learner__decoder1__0__bias=torch.zeros(64),
        hpn_learner__extra=torch.zeros(2, 3),
        hpn_learner__decoder1__2__bias=torch.full((64,), float("nan")),
    )
    path = published_file("hsnet", state, tmp_path / "bad.pt")
    outcome = call(*words_for("hsnet", path))
    line = "1 missing, 1 unexpected, 1 of another shape, 1 with other values; check model and backbone"
    assert (outcome.code, outcome.err) == (
        1,
        f"error: bad.pt does not fit HSNetHead on mobilenet_v2: {line}\n",
    )
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in outcome.out.splitlines() if "│" in row]
    assert rows == [
        ["hpn_learner.decoder2.2.bias", "missing", "", "(2,)"],
        ["hpn_learner.extra", "unexpected", "(2, 3)", ""],
        ["hpn_learner.decoder1.0.bias", "of another shape", "(64,)", "(128,)"],
        ["hpn_learner.decoder1.2.bias", "of other values", "NaN or infinity", "numbers"],
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["bad.pt"]


def test_a_file_of_another_model_is_recognised(call: Any, files: Any) -> None:
    outcome = call(*words_for("hsnet", files["asnet"]))
    assert outcome.code == 1
    assert outcome.err.endswith("this looks like a file of model asnet: give model=asnet\n")
    assert (
        "in all" in outcome.out and outcome.out.count("│ missing") == outcome.out.count("│ unexpected") == 10
    )


def test_a_file_for_another_data_set_is_recognised(call: Any, files: Any) -> None:
    outcome = call(*words_for("vat", files["vat"]), "model.affinity=coco")
    assert (outcome.code, outcome.err.count("give dataset=pascal")) == (1, 1)


def test_another_backbone_inside_is_told_and_kept(call: Any, networks: Any, tmp_path: Path) -> None:
    name = "backbone.features.0.0.weight"
    state = published_names(networks["hsnet"])
    state[name] = state[name] + 0.5
    path = published_file("hsnet", state, tmp_path / "tuned.pt")
    outcome = call(*words_for("hsnet", path))
    assert outcome.code == 0
    assert "different from weights 'bundled' in 1 entry, by 0.5 at most (features.0.0.weight)" in outcome.out
    checkpoint = read_checkpoint(tmp_path / "out.ckpt")
    assert torch.equal(checkpoint["state_dict"][f"network.{name}"], state[name])
    told = checkpoint["hmseg"]["imported"]["backbone"]
    assert (told["result"], told["entries"]) == ("different", 1)
    outcome = call(*words_for("hsnet", path, "again.ckpt"), "backbone.weights=imagenet")
    assert "not compared: the ImageNet weights of mobilenet_v2 are not on this machine" in outcome.out
    outcome = call(*words_for("hsnet", path, "third.ckpt"), "backbone.weights=missing.pth")
    assert outcome.code == 1 and outcome.err.startswith("error: no weights at 'missing.pth'")
    assert not (tmp_path / "third.ckpt").exists() and not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=hsnet"], "masking: a value is required; give masking=…"),
        (["model=hsnet", "masking=none"], "backbone: a value is required; give backbone=…"),
        (["model=hsnett", "masking=none", "backbone=vgg16"], "unknown option 'hsnett' for model: did you"),
        (["model=hsnet", "masking=none", "backbone=vgg16", "fold=4"], "fold=4: dataset pascal has folds 0"),
        (["model=hsnet", "masking=none", "backbone=vgg16", "out=there.ckpt"],
         "out=there.ckpt: the file is there already; give another, or overwrite=true"),
        (["out=folder", "model=hsnet", "masking=none", "backbone=vgg16"], "out=folder: this is a folder"),
        (["out=source.pt", "overwrite=true"], "out=source.pt: this is the source itself; give another file"),
        (["export=true"], "source=source.pt: not a checkpoint, or a truncated one"),
        (["export=true", "source=nothing.ckpt"], "source=nothing.ckpt: there is no such file or folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_settings(
    call: Any, tmp_path: Path, words: Sequence[str], message: str
) -> None:
    (tmp_path / "there.ckpt").touch()
    (tmp_path / "source.pt").write_text("not a checkpoint")
    (tmp_path / "folder").mkdir()
    outcome = call("source=source.pt", "out=new.ckpt", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {message}") and outcome.err.count("\n") == 1
    assert not (tmp_path / "new.ckpt").exists()


def test_source_that_is_not_there_or_no_checkpoint(call: Any, files: Any, tmp_path: Path) -> None:
    assert call(*words_for("hsnet", Path("missing.pt"))) == Outcome(
        1, "", "error: no file at 'missing.pt': give the path of a published checkpoint\n"
    )
    (tmp_path / "cut.pt").write_bytes(files["vat"].read_bytes()[:100_000])
    outcome = call(*words_for("vat", Path("cut.pt")))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert outcome.err.startswith("error: 'cut.pt' cannot be read as a checkpoint (")
    assert [each.name for each in tmp_path.iterdir()] == ["cut.pt"]


def test_overwrite_replaces(call: Any, files: Any, tmp_path: Path) -> None:
    (tmp_path / "out.ckpt").touch()
    assert call(*words_for("hsnet", files["hsnet"]), "overwrite=true").code == 0
    assert read_checkpoint(tmp_path / "out.ckpt")["hmseg"]["imported"]["file"] == "hsnet.pt"
    outcome = call(*words_for("hsnet", Path("out.ckpt"), "new.ckpt"))
    assert (outcome.code, "is a checkpoint of hmseg already" in outcome.err) == (1, True)


def test_export_of_a_trained_checkpoint_without_its_backbone(
    call: Any, networks: Any, files: Any, tmp_path: Path
) -> None:
    """As training with bundled weights writes it; and the fold of a data set without folds."""
    assert call(*words_for("hsnet", files["hsnet"]), "dataset=shapes").code == 0
    checkpoint = read_checkpoint(tmp_path / "out.ckpt")
    del checkpoint["hmseg"]["imported"]
    checkpoint["hmseg"]["backbone_weights"] = checkpoint["hmseg"]["config"]["backbone"]["weights"] = "bundled"
    checkpoint["hmseg"]["config"]["dataset"]["folds"] = 0
    checkpoint["hmseg"]["config"]["fold"] = None
    checkpoint["state_dict"] = {n: v for n, v in checkpoint["state_dict"].items() if ".head." in n}
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    torch.save(checkpoint, tmp_path / "run/checkpoints/best.ckpt")
    outcome = call("source=run", "out=folder/published.pt", "export=true")
    assert (outcome.code, outcome.err) == (0, "")
    assert "load_state_dict(…, strict=False)" in outcome.out
    back = torch.load(tmp_path / "folder/published.pt", weights_only=True)
    expected = published_names(networks["hsnet"])
    del expected["backbone.classifier.1.bias"]
    assert_equal({name.removeprefix("module."): value for name, value in back.items()}, expected)


def test_in_python(files: Any, tmp_path: Path) -> None:
    words = words_for("hsnet", files["hsnet"], str(tmp_path / "out.ckpt"))
    assert conversion.run(compose(*words, config_name="convert")) == tmp_path / "out.ckpt"
    again = (f"source={tmp_path / 'out.ckpt'}", f"out={tmp_path / 'back.pt'}", "export=true")
    cfg = compose(*again, config_name="convert")
    assert cfg.masking == compose("masking=feature").masking
    conversion.run(cfg)
    assert hmseg.import_published(tmp_path / "back.pt", "hsnet", "feature", "mobilenet_v2")
