"""The data sets as configurations: each builds its source, folds and options are checked early."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from hmseg import training
from hmseg.assembly import build_datamodule
from hmseg.config import compose
from hmseg.data.source import Source
from hmseg.errors import ConfigError
from standin import coco_root, fss_root, pascal_root


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    """The settings of each data set."""
    folder = tmp_path_factory.mktemp("data")
    voc, coco, fss = pascal_root(folder / "voc"), coco_root(folder / "coco"), fss_root(folder / "fss")
    classes = ["dataset.folds=2", "dataset.held_out=[[bus],[yurt,mug]]"]
    (fss / "splits").rename(folder / "splits")
    annotations = f"dataset.annotations={coco}/annotations/instances_val2014.json"
    return {
        "pascal": (f"dataset.root={voc}", "dataset.novel=drop"),
        "coco": (f"dataset.root={coco}", "dataset.masks=json"),
        "fss": (f"dataset.root={fss}", f"dataset.splits={folder}/splits"),
        "coco2pascal": (f"dataset.coco={coco}", f"dataset.pascal={voc}"),
        "folder": (f"dataset.root={fss}", *classes),
        "coco_json": (f"dataset.images={coco}/val2014", annotations, "dataset.draw=class"),
        "shapes": (),
        "union": (
            f"+dataset.source.main={{_target_:hmseg.data.pascal.PascalSource,root:{voc}}}",
            "+dataset.source.others.drawn={_target_:hmseg.data.shapes.ShapesSource}",
        ),
    }


NAMES = ("pascal", "coco", "fss", "coco2pascal", "folder", "coco_json", "shapes", "union")


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_builds_its_source(name: str, roots: dict[str, tuple[str, ...]]) -> None:
    cfg = compose(f"dataset={name}", *roots[name])
    source = instantiate(cfg.dataset.source)
    assert isinstance(source, Source)
    assert (source.name, source.folds) == (name, cfg.dataset.folds) == (cfg.dataset.name, source.folds)
    train, test = source.listing("train", cfg.fold), source.listing("test", cfg.fold)
    assert set(train.by_class) <= set(source.classes("train", cfg.fold))
    assert set(test.by_class) == set(source.classes("test", cfg.fold))
    for name_, class_id in (train.pairs[0], test.pairs[-1]):
        sample = source.read(name_, class_id)
        assert source.has(name_) and sample.mask.any() and sample.image.shape[:2] == sample.mask.shape
        if name != "shapes" and ":" not in name_:
            assert all(path.is_file() for path in source.files(name_))  # what an image cache looks at


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["folder", "coco_json", "pascal"])
def test_a_run_with_every_option_of_the_draws(
    name: str, roots: dict[str, tuple[str, ...]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Training, validation and test of a step each; the published ones are in test_recipes.py."""
    cfg = compose(
        f"dataset={name}", *roots[name], "dataset.image_size=64", "trainer=debug", "trainer.fast_dev_run=1",
        "loader.batch_size=1", "loader.eval_batch_size=1", "loader.num_workers=0", "loader.train_shot=2",
        "loader.replacement=false", "loader.train_episodes=null", "loader.protocol_seed=[0,1]",
        "loader.protocol=strict", "loader.test_episodes=null", "void_in_loss=ignore", "shot=2",
        f"loader.cache={tmp_path}/cache", f"paths.output_dir={tmp_path}/out",
    )  # fmt: skip
    before = torch.get_rng_state()
    with caplog.at_level("INFO"):
        training.run(cfg)
    torch.set_rng_state(before)
    assert f"image lists of {name}: own, not the published ones" in caplog.text
    assert list((tmp_path / "cache").rglob("*")) and not (tmp_path / "out").exists()


def test_fss_needs_no_fold() -> None:
    for words in (("model=hsnet",), ("~recipe",)):
        cfg = compose("dataset=fss", *words)
        assert cfg.fold is None and cfg.dataset.folds == 0
    with pytest.raises(ConfigError, match="^fold=1: dataset fss has no folds; give fold=null$"):
        compose("dataset=fss", "fold=1")
    with pytest.raises(ConfigError, match="^fold=null: dataset coco has 4 folds; give fold=0 to fold=3$"):
        compose("dataset=coco", "fold=null")


def test_fss_after_training_on_another_data_set(tmp_path: Path) -> None:
    """Evaluation takes the fold from the checkpoint, but FSS-1000 has none."""
    config = OmegaConf.to_container(compose("fold=1"), resolve=True)
    path = tmp_path / "best.ckpt"
    torch.save({"hmseg": {"config": config}}, path)
    cfg = compose(f"ckpt={path}", "dataset=fss", config_name="evaluate")
    assert cfg.fold is None and cfg.loader.test_episodes is None
    assert compose(f"ckpt={path}", config_name="evaluate").fold == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "loader.protocol_seed=-1",
            "loader.protocol_seed: expected a number of at least 0, or different ones",
        ),
        ("loader.protocol_seed=[0,0]", "loader.protocol_seed: expected"),
        ("loader.protocol_seed=[]", "loader.protocol_seed: expected"),
        ("loader.protocol_seed=first", "loader.protocol_seed: expected"),
        ("loader.protocol_seed=4294967296", "loader.protocol_seed: expected"),
        ("loader.train_shot=0", "loader.train_shot: expected at least 1"),
        ("void_in_loss=backgroud", "unknown void_in_loss 'backgroud': did you mean 'background'"),
        ("dataset.novell=drop", "unknown key 'dataset.novell': did you mean 'dataset.novel'"),
        ("dataset.novel=dorp", "unknown dataset.novel 'dorp': did you mean 'drop'"),
    ],
)
def test_mistakes(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose("dataset=pascal", word)
    assert str(caught.value).startswith(message)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("experiment", "held_out", "trained"),
    [
        ("photos", {"cat", "car"}, {"dog", "bear"}),
        ("photos_all", {"otter", "tiger", "turtle"}, {"cat", "bear"}),
    ],
)
def test_photos_of_several_sources(
    experiment: str, held_out: set[str], trained: set[str], shared: Path, tmp_path: Path
) -> None:
    small = ("dataset.image_size=64", "loader.num_workers=0", "loader.batch_size=1", "backbone=mobilenet_v2")
    words = (*small, f"paths.data={shared}/data", f"paths.output_dir={tmp_path}", "trainer.fast_dev_run=1")
    cfg = compose(f"experiment={experiment}", *words)
    data = build_datamodule(cfg)
    names = {data.source.class_names[each] for each in data.train_listing.by_class}
    assert trained <= names and not names & {"otter", "tiger", "turtle"} and not names & held_out
    assert held_out <= {data.source.class_names[each] for each in data.test_classes}
    training.run(cfg)
