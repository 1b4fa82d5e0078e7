"""Composition: every option composes, every mistake is refused in one exact line."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.utils import get_object
from omegaconf import OmegaConf

from hmseg.assembly import build_callbacks
from hmseg.config import Composer, check, compose, conf_dir
from hmseg.config.schema import SCHEMAS, TrainerConfig
from hmseg.errors import CheckpointError, ConfigError

NOT_OURS = {"hydra", "wandb"}  # read by Hydra itself and by W&B's sweep agent
GROUPS = sorted(path.name for path in conf_dir().iterdir() if path.is_dir() and path.name not in NOT_OURS)
OPTIONS = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((conf_dir() / group).glob("*.yaml"))
    if (group, path.stem) != ("model", "prototype")  # nothing to train: see below
]
FILES = sorted(conf_dir().rglob("*.yaml"))


def targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for child in node.values():
            yield from targets(child)


NEEDED = {"union": ("+dataset.source.main={_target_:hmseg.data.shapes.ShapesSource}",)}
"""What an option doesn't say itself."""


TARGETS = sorted({target for path in FILES for target in targets(yaml.safe_load(path.read_text()))})


def test_the_groups_are_those_promised() -> None:
    promised = "backbone callbacks dataset experiment logger masking model optimizer paths recipe trainer"
    assert promised.split() == GROUPS


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group: str, option: str) -> None:
    cfg = compose(f"{group}={option}", *NEEDED.get(option, ()))
    assert OmegaConf.to_container(cfg, resolve=True)


def test_the_prototype_is_tested_without_a_checkpoint_and_never_trained() -> None:
    cfg = compose("model=prototype", "dataset.image_size=320", config_name="evaluate")
    assert (cfg.ckpt, cfg.backbone.name, cfg.aggregation) == (None, "efficientnet_lite2", "concat")
    assert cfg.dataset.image_size == 320
    for more in ((), ("optimizer=adam",)):
        with pytest.raises(ConfigError, match="model=prototype: it has no learnable parameter"):
            compose("model=prototype", *more)


@pytest.mark.parametrize("backbone", [option for group, option in OPTIONS if group == "backbone"])
@pytest.mark.parametrize("masking", [option for group, option in OPTIONS if group == "masking"])
def test_every_masking_goes_with_every_backbone(masking: str, backbone: str) -> None:
    cfg = compose(f"masking={masking}", f"backbone={backbone}")
    for group, option in (("masking", masking), ("backbone", backbone)):
        said = yaml.safe_load((conf_dir() / group / f"{option}.yaml").read_text())
        own = {key: value for key, value in said.items() if key not in ("defaults", "weights", "image_size")}
        assert own.items() <= OmegaConf.to_container(cfg[group]).items()


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_exists(target: str) -> None:
    assert callable(get_object(target))


def test_default_is_the_embedded_run() -> None:
    cfg = compose()
    assert (cfg.model._target_, cfg.masking._target_, cfg.backbone.name, cfg.backbone.weights) == (
        "hmseg.networks.hsnet.HSNetHead",
        "hmseg.masking.HybridMasking",
        "mobilenet_v2",
        "bundled",
    )
    assert (cfg.dataset.name, cfg.fold, cfg.shot, cfg.seed) == ("shapes", 0, 1, 0)
    assert (cfg.trainer.accelerator, list(cfg.logger), cfg.resume) == ("auto", ["csv"], None)


def test_several_loggers_at_once() -> None:
    assert list(compose("logger=[csv,tensorboard]").logger) == ["csv", "tensorboard"]
    for words in (("logger=none",), ("logger.csv=null",), ("~logger",)):
        cfg = compose(*words)
        assert not any((cfg.logger or {}).values())
        assert "learning_rate" not in build_callbacks(cfg)  # Lightning refuses it without a logger
    assert "learning_rate" in build_callbacks(compose())


def test_data_sets_keep_their_options_in_one_place() -> None:
    shapes = compose("dataset.image_size=128").dataset
    assert shapes.source.image_size == 128
    pascal = compose("dataset=pascal", "dataset.root=/voc", "dataset.splits=/lists").dataset
    assert (pascal.source.root, pascal.source.splits) == ("/voc", "/lists")
    assert compose("dataset=pascal", "dataset.root=/voc").dataset.source.splits is None  # the source knows


def test_data_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMSEG_DATA", "/somewhere")
    assert compose("dataset=pascal").dataset.source.root == "/somewhere/VOC2012"
    monkeypatch.delenv("HMSEG_DATA")
    assert compose("dataset=pascal").dataset.source.root == "data/VOC2012"


def test_trainer_keys_are_lightnings() -> None:
    import pytorch_lightning as pl

    known = inspect.signature(pl.Trainer).parameters
    assert [field.name for field in dataclasses.fields(TrainerConfig) if field.name not in known] == []


def test_every_number_in_a_config_carries_its_reason() -> None:
    bare = [
        f"{path.relative_to(conf_dir())}: {line}"
        for path in FILES
        for line in path.read_text().splitlines()
        if (value := line.partition("#")[0].partition(": ")[2].strip()) and "#" not in line
        if value.strip("\"'").replace(".", "").replace(":", "").lstrip("-").isdigit()
    ]
    assert bare == []


MISTAKES = {
    "fodl=1": "unknown key 'fodl': did you mean 'fold'?",
    "+fodl=1": "unknown key 'fodl': did you mean 'fold'?",
    "maskin=hybrid": "unknown key 'maskin': did you mean 'masking'?",
    "lr=0.1": "unknown key 'lr': did you mean 'optimizer.lr'?",
    "batch_size=4": "unknown key 'batch_size': did you mean 'loader.batch_size'?",
    "trainer.max_epoch=3": "unknown key 'trainer.max_epoch': did you mean 'trainer.max_epochs'?",
    "+trainer.max_epoch=3": "unknown key 'trainer.max_epoch': did you mean 'trainer.max_epochs'?",
    "backbone.wieghts=random": "unknown key 'backbone.wieghts': did you mean 'backbone.weights'?",
    "dataset.source.dificulty=1": "unknown key 'dataset.source.dificulty': did you mean "
    "'dataset.source.difficulty'?",
    "callbacks.best.save_topk=3": "unknown key 'callbacks.best.save_topk': did you mean "
    "'callbacks.best.save_top_k'?",
    "model=vat aggregation=concat": "aggregation=concat: VAT has a fixed grid for a support, so several "
    "can't be joined; give vote, mean_logits or mean_probability",
    "aggregation=mean": "unknown aggregation 'mean': did you mean 'mean_logits'? (known: concat, "
    "mean_logits, mean_probability, vote)",
    "loader.selection=cleen": "unknown loader.selection 'cleen': did you mean 'clean'? (known: clean, "
    "published)",
    "paths.foo=1": "unknown key 'paths.foo' (known: data, output_dir, records, weights)",
    "masking=hybird": "unknown option 'hybird' for masking: did you mean 'hybrid'? (known: "
    "feature, hybrid, hybrid_after_relu, hybrid_black, hybrid_deep, hybrid_dilated, hybrid_remask, "
    "hybrid_soft, input, none)",
    "logger=[csv,tensorbord]": "unknown option 'tensorbord' for logger: did you mean 'tensorboard'? "
    "(known: csv, none, tensorboard, wandb)",
    "optimizer=_adam": "unknown option '_adam' for optimizer: did you mean 'adam'? (known: adam, adamw, "
    "asnet, hsnet, sgd, vat)",
    "loader.resize=cv2": "unknown loader.resize 'cv2'. (known: opencv, pil)",
    "callbacks.ema.decay=1": "callbacks.ema.decay: expected a number between 0 and 1, or null, got 1",
    "loader.augmentation=vta": "unknown loader.augmentation 'vta': did you mean 'vat'? "
    "(known: geometric, none, vat)",
    "loader.keep_images=-1": "loader.keep_images: expected at least 0, got -1",
    "trainer=null": "trainer: expected the name of an option, got null (known: auto, cpu, ddp, debug, gpu, "
    "slurm)",
    "masking.treshold=1": "unknown key 'masking.treshold': did you mean 'masking.threshold'?",
    "masking=input masking.mix=1": "unknown key 'masking.mix' (known: dilate, fill)",
    "masking.mix=soft": "masking.mix: expected a number, got 'soft'",
    "masking.mix=0": "masking.mix: expected a number above 0, or null, got 0.0",
    "masking.threshold=inf": "masking.threshold: expected a number, got inf",
    "masking.relu=befor": "unknown masking.relu 'befor': did you mean 'before'? (known: after, before)",
    "masking=input masking.fill=blakc": "unknown masking.fill 'blakc': did you mean 'black'? "
    "(known: black, mean)",
    "masking.dilate=1.5": "masking.dilate: expected a whole number, got '1.5'",
    "masking.dilate=-1": "masking.dilate: expected whole pixels, at least 0, got -1",
    "masking.levels=[5]": "masking.levels: expected different pyramid levels out of 1 to 4, such as [4,3], "
    "or null for all, got [5]",
    "backbone=timm backbone.block=1": "unknown key 'backbone.block': did you mean 'backbone.blocks'?",
    "fold=abc": "fold: expected a whole number, got 'abc'",
    "fold=1.5": "fold: expected a whole number, got '1.5'",
    "fold=true": "fold: expected a whole number, got 'True'",
    "shot=null": "shot: expected a value, got null",
    "optimizer.lr=fast": "optimizer.lr: expected a number, got 'fast'",
    "optimizer.betas=[1,a]": "optimizer.betas[1]: expected a number, got 'a'",
    "trainer.limit_train_batches=few": "trainer.limit_train_batches: expected a number, got 'few'",
    "trainer.fast_dev_run=abc": "trainer.fast_dev_run: expected true or false or a whole number, got 'abc'",
    "test=maybe": "test: expected true or false, got 'maybe'",
    "dataset.source=3": "dataset.source: expected a node of further keys, got int 3",
    "fold=0,1": "fold=0,1: several values; add -m to run each of them, or quote a text that holds commas",
    "fold": "'fold' is not key=value; settings are written key=value, see --help",
    "hybrid": "'hybrid' is not key=value: did you mean 'masking=hybrid'?",
    "fold 2": "'fold' is not key=value: did you mean 'fold=2'?",
    "masking hybrid": "'masking' is not key=value: did you mean 'masking=hybrid'?",
    "fold=4": "fold=4: dataset shapes has folds 0 to 3",
    "fold=-1": "fold=-1: dataset shapes has folds 0 to 3",
    "fold=null": "fold=null: dataset shapes has 4 folds; give fold=0 to fold=3",
    "dataset.folds=0": "fold=0: dataset shapes has no folds; give fold=null",
    "shot=0": "shot: expected at least 1, got 0",
    "seed=-1": "seed: expected at least 0, got -1",
    "seed=4294967296": "seed: expected at most 4294967295, got 4294967296",
    "loader.batch_size=0": "loader.batch_size: expected at least 1, got 0",
    "loader.num_workers=-1": "loader.num_workers: expected at least 0, got -1",
    "dataset.image_size=32": "dataset.image_size: expected at least 64, got 32",
    "dataset.source.difficulty=2": "dataset.source.difficulty: expected a number in 0 … 1, got 2.0",
    "optimizer.lr=0": "optimizer.lr: expected a number above 0, got 0.0",
    "optimizer.lr=nan": "optimizer.lr: expected a number above 0, got nan",
    "loader.protocol=hsent": "unknown loader.protocol 'hsent': did you mean 'hsnet'? "
    "(known: hsnet, ifsl, strict)",
    "trainer.precision=16": "unknown trainer.precision '16'. (known: 16-mixed, 16-true)",
    "trainer=cpu trainer.precision=16-mixed": "trainer.precision=16-mixed: float16 needs a GPU; "
    "on the CPU give bf16-mixed or 32-true",
    "trainer.max_time=10": "trainer.max_time: expected DD:HH:MM:SS such as 00:01:30:00, got '10'",
    "trainer.limit_val_batches=1.5": "trainer.limit_val_batches: expected a whole number of steps or a share "
    "in 0.0 … 1.0, got 1.5",
    "trainer.devices=abc": "trainer.devices: expected a number, a list such as [0,1], or auto, got 'abc'",
    "backbone=resnet50 backbone.weights=bundled": "backbone.weights=bundled: only the weights of "
    "mobilenet_v2, efficientnet_lite2 are in the package; for resnet50 give imagenet, random or a file",
    "backbone=resnet50_caffe backbone.weights=imagenet": "backbone.weights=imagenet: there is no download "
    "for resnet50_caffe; give a file or random",
    "paths.data=${nowhere}": "paths.data: Interpolation key 'nowhere' not found",
    "~model": "model: a value is required; give model=…",
    "hydra.run.dri=x": "unknown key 'hydra.run.dri': did you mean 'hydra.run.dir'?",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_refused_in_one_line(words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(*words.split())
    assert str(caught.value) == MISTAKES[words]


@pytest.mark.parametrize(
    "words",
    [
        "fold=2 shot=5",
        "dataset.folds=0 fold=null",
        "trainer.max_time=null trainer.max_epochs=-1",
        "trainer.limit_train_batches=3 trainer.limit_val_batches=0.5",
        "trainer.devices=[0,1]",
        "trainer.devices=-1",
        "trainer.fast_dev_run=true",
        "loader.train_episodes=null",
        "backbone=resnet50 backbone.weights=random",
        "backbone.weights=some/file.pth",
        "callbacks=none logger=none",
        "~logger",
    ],
)
def test_what_is_right_is_not_refused(words: str) -> None:
    assert check(compose(*words.split())) is None


def test_slurm_says_how_many_devices_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose("trainer=slurm")
    assert (cfg.trainer.devices, cfg.trainer.num_nodes, cfg.trainer.strategy) == (1, 1, "ddp")
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "4")
    monkeypatch.setenv("SLURM_NNODES", "2")
    cfg = compose("trainer=slurm")
    check(cfg)
    assert (cfg.trainer.devices, cfg.trainer.num_nodes) == (4, 2)


def compose_with(folder: Path, *overrides: str) -> Any:
    with Composer(extra_dir=str(folder)) as composer:
        cfg = composer.compose("train", overrides)
    check(cfg)
    return cfg


def test_options_of_ones_own_need_no_schema(tmp_path: Path) -> None:
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "mine.yaml").write_text("_target_: my.Backbone\nwidth: 3\n")
    (tmp_path / "dataset").mkdir()
    own = "name: own\nimage_size: 64\nfolds: 2\nsource: {_target_: my.Source, root: /x}\n"
    (tmp_path / "dataset" / "own.yaml").write_text(own)
    cfg = compose_with(tmp_path, "backbone=mine", "backbone.width=4", "dataset=own", "fold=1")
    assert cfg.backbone == {"_target_": "my.Backbone", "width": 4}
    assert cfg.dataset.source == {"_target_": "my.Source", "root": "/x"}
    with pytest.raises(ConfigError, match=r"^fold=2: dataset own has folds 0 to 1$"):
        compose_with(tmp_path, "dataset=own", "fold=2")
    with pytest.raises(
        ConfigError, match=r"^unknown key 'backbone\.widht': did you mean 'backbone\.width'\?$"
    ):
        compose_with(tmp_path, "backbone=mine", "backbone.widht=4")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fodl: 1", "experiment/bad: unknown key 'fodl': did you mean 'fold'?"),
        ("fold: abc", "experiment/bad: fold: expected a whole number, got 'abc'"),
        ("trainer: {max_epoch: 1}", "experiment/bad: unknown key 'trainer.max_epoch': did you mean "
         "'trainer.max_epochs'?"),
        ("loader: 3", "experiment/bad: LoaderConfig: expected a node of further keys, got int 3"),
        ("optimizer: {lr: fast}", "experiment/bad: optimizer.lr: expected a number, got 'fast'"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "bad.yaml").write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        compose_with(tmp_path, "experiment=bad")
    assert str(caught.value) == message


def test_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "broken.yaml").write_text("# @package _global_\nfold: [1\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml") as caught:
        compose_with(tmp_path, "experiment=broken")
    assert "\n" not in str(caught.value)


def test_missing_config_dir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        compose_with(tmp_path / "nowhere")


def test_nothing_to_build_is_refused(tmp_path: Path) -> None:
    (tmp_path / "masking").mkdir()
    (tmp_path / "masking" / "empty.yaml").write_text("strength: 1\n")
    with pytest.raises(ConfigError, match=r"^masking: expected a node with the _target_ to build"):
        compose_with(tmp_path, "masking=empty")


def test_schemas_are_hidden_from_the_options() -> None:
    with Composer() as composer:
        assert composer.options("backbone") == sorted(
            ["convnext_tiny", "dinov2_small", "mobilenet_v2", "resnet101", "resnet50", "resnet50_caffe"]
            + ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "timm", "vgg16"]
        )
    assert any(name.startswith("_") for _, name, _ in SCHEMAS)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(tmp_path / "fold=1" / "best.ckpt", trained())


def trained() -> Any:
    cfg = compose("fold=1", "shot=5", "seed=7", "masking=feature", "dataset.image_size=128")
    return OmegaConf.to_container(cfg, resolve=True)


def save(path: Path, config: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {"x": torch.zeros(3)}, "hmseg": {"config": config}}, path)
    return path


def evaluation(path: Path, *overrides: str) -> Any:
    return compose(f'ckpt="{path}"', *overrides, config_name="evaluate")


def test_evaluation_takes_from_the_checkpoint_what_is_not_given(checkpoint: Path) -> None:
    cfg = evaluation(checkpoint)
    assert (cfg.fold, cfg.shot, cfg.seed, cfg.dataset.image_size) == (1, 5, 7, 128)
    assert (cfg.masking._target_, cfg.backbone.name) == ("hmseg.masking.FeatureMasking", "mobilenet_v2")
    assert (cfg.ckpt, cfg.protocol, cfg.loader.protocol) == (str(checkpoint), "hsnet", "hsnet")


def test_evaluation_lets_the_command_line_win(checkpoint: Path) -> None:
    cfg = evaluation(checkpoint, "fold=2", "protocol=strict", "masking=hybrid", "dataset.image_size=96")
    assert (cfg.fold, cfg.shot, cfg.loader.protocol) == (2, 5, "strict")
    assert cfg.masking._target_ == "hmseg.masking.HybridMasking"
    assert cfg.dataset.source.image_size == 96  # follows, as in training
    assert evaluation(checkpoint, "dataset=pascal").dataset.image_size == 400


def test_evaluation_knows_the_options_of_the_data_set_trained_on(tmp_path: Path) -> None:
    config = OmegaConf.to_container(compose("dataset=pascal", "dataset.root=/voc"), resolve=True)
    path = save(tmp_path / "best.ckpt", config)
    assert evaluation(path).dataset.source.root == "/voc"
    moved = evaluation(path, "dataset.root=/elsewhere").dataset
    assert moved.source.root == "/elsewhere" and moved.source.splits is None
    config["dataset"]["image_size"] = "large"
    with pytest.raises(CheckpointError, match="its dataset can't be used .*large"):
        evaluation(save(tmp_path / "bad.ckpt", config))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fold=4", "fold=4: dataset shapes has folds 0 to 3"),
        ("protocol=hsent", "unknown protocol 'hsent': did you mean 'hsnet'? (known: hsnet, ifsl, strict)"),
        ("optimizer=adam", "'optimizer' is no setting of this program; see --help"),
        ("dataset.image_sise=64", "unknown key 'dataset.image_sise': did you mean 'dataset.image_size'?"),
    ],
)
def test_evaluation_refuses_mistakes(checkpoint: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluation(checkpoint, override)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("group", ["model", "masking", "backbone", "dataset"])
def test_checkpoint_cannot_name_what_is_not_shipped(tmp_path: Path, group: str) -> None:
    config = trained()
    config[group]["extra"] = {"_target_": "os.system", "command": "true"}
    path = save(tmp_path / "bad.ckpt", config)
    with pytest.raises(
        CheckpointError, match=rf"its {group} builds 'os\.system', which is not part of hmseg"
    ):
        evaluation(path)
    shipped = {"model": "hsnet", "masking": "hybrid", "backbone": "mobilenet_v2", "dataset": "shapes"}[group]
    assert "extra" not in evaluation(path, f"{group}={shipped}")[group]


def test_checkpoint_cannot_name_another_groups_target(tmp_path: Path) -> None:
    config = trained()
    config["masking"] = {"_target_": "hmseg.data.pascal.PascalSource", "root": "/"}
    with pytest.raises(CheckpointError, match="its masking builds"):
        evaluation(save(tmp_path / "bad.ckpt", config))


def test_checkpoint_cannot_hold_interpolations(tmp_path: Path) -> None:
    config = trained()
    config["backbone"]["weights"] = "${oc.env:HOME}"
    with pytest.raises(CheckpointError, match="holds the unresolved value"):
        evaluation(save(tmp_path / "bad.ckpt", config))


def test_checkpoint_without_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="holds no hmseg configuration"):
        evaluation(path)
    config = trained()
    del config["backbone"]
    with pytest.raises(CheckpointError, match=r"has no backbone; give backbone=…$"):
        evaluation(save(tmp_path / "old.ckpt", config))


def test_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "evil.ckpt"
    torch.save({"hmseg": {"config": {"fold": Payload()}}}, path)
    with pytest.raises(CheckpointError, match="can't be read as a checkpoint"):
        evaluation(path)
    assert not (tmp_path / "ran").exists()


def test_checkpoint_of_wrong_types_is_refused(tmp_path: Path) -> None:
    config = trained()
    config["fold"] = "first"
    with pytest.raises(CheckpointError, match=r"its fold is 'first', int was expected; give fold=…$"):
        evaluation(save(tmp_path / "bad.ckpt", config))


def test_options_of_a_checkpoint_are_gone_afterwards(checkpoint: Path) -> None:
    evaluation(checkpoint)
    with pytest.raises(ConfigError, match="unknown option 'checkpoint' for masking"):
        compose("masking=checkpoint")
