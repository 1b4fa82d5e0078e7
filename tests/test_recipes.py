"""Every published configuration: the numbers of REFERENCE section 8, an experiment for each claim."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from hmseg import training
from hmseg.config import check, compose, conf_dir
from standin import coco_root, fss_root, pascal_root

# model, data set -> optimiser, learning rate, batch, side, epochs, resize, augmentation, protocol
PUBLISHED: dict[tuple[str, str], tuple[Any, ...]] = {
    ("hsnet", "pascal"): ("Adam", 1e-3, 20, 400, 2000, "pil", "none", "hsnet"),
    ("hsnet", "coco"): ("Adam", 1e-3, 40, 400, 2000, "pil", "none", "hsnet"),
    ("hsnet", "fss"): ("Adam", 1e-3, 20, 400, 2000, "pil", "none", "hsnet"),
    ("asnet", "pascal"): ("Adam", 1e-3, 12, 400, 2000, "pil", "none", "ifsl"),
    ("asnet", "coco"): ("Adam", 1e-3, 24, 400, 2000, "pil", "none", "ifsl"),
    ("vat", "pascal"): ("AdamW", 5e-4, 16, 473, 300, "opencv", "vat", "hsnet"),
    ("vat", "coco"): ("AdamW", 5e-4, 16, 417, 400, "opencv", "vat", "hsnet"),
    ("vat", "fss"): ("AdamW", 5e-4, 16, 473, 300, "opencv", "vat", "hsnet"),
}
AFFINITY = {"pascal": "pascal", "coco": "coco", "fss": "fss", "coco2pascal": "coco"}
EXPERIMENTS = sorted(
    path.stem
    for path in (conf_dir() / "experiment").glob("*.yaml")
    if path.stem.startswith(("hsnet_", "asnet_", "vat_"))
)
MASKINGS = {
    "": {"hsnet": "Feature", "vat": "Feature", "asnet": "No"},
    "hm": dict.fromkeys(("hsnet", "vat", "asnet"), "Hybrid"),
}


def experiment_of(claim: dict[str, str]) -> str:
    """The name of the experiment that trains what a row of claims.csv reports."""
    hybrid = ("hm",) if claim["masking"] == "hybrid" else ()
    return "_".join((claim["model"], *hybrid, claim["benchmark"], claim["backbone"]))


def numbers(cfg: DictConfig) -> tuple[Any, ...]:
    """The values in the order of PUBLISHED."""
    loader, optimizer = cfg.loader, cfg.optimizer
    return (
        optimizer._target_.removeprefix("torch.optim."),
        optimizer.lr,
        loader.batch_size,
        cfg.dataset.image_size,
        cfg.trainer.max_epochs,
        loader.resize,
        loader.augmentation,
        loader.protocol,
    )


@pytest.mark.parametrize(("model", "dataset"), PUBLISHED)
def test_model_and_data_set_alone_give_the_published_numbers(model: str, dataset: str) -> None:
    fold = "null" if dataset == "fss" else "0"
    cfg = compose(f"model={model}", f"dataset={dataset}", f"fold={fold}")
    assert numbers(cfg) == PUBLISHED[model, dataset]
    assert cfg.optimizer.weight_decay == 0
    assert (cfg.loader.train_episodes, cfg.trainer.max_time) == (None, None)
    assert cfg.loader.test_episodes == (2400 if dataset == "fss" else 1000)


def test_what_is_given_wins_over_the_published_numbers() -> None:
    cfg = compose("model=vat", "dataset=coco", "model.affinity=fss", "dataset.image_size=96", "optimizer=sgd")
    assert (cfg.model.affinity, cfg.dataset.image_size) == ("fss", 96)
    assert cfg.optimizer._target_ == "torch.optim.SGD"
    assert compose("dataset=pascal", "~recipe").trainer.max_epochs == compose().trainer.max_epochs


def test_every_claim_has_its_experiment(shared: Path) -> None:
    claims = list(csv.DictReader((shared / "spec/claims.csv").read_text().splitlines()))
    assert len(claims) == 64
    assert {experiment_of(claim) for claim in claims} <= set(EXPERIMENTS)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_is_what_its_name_says(experiment: str) -> None:
    words = experiment.split("_")
    model, dataset, backbone = words[0], words[-2], words[-1]
    cfg = compose(f"experiment={experiment}")
    check(cfg)
    trained_on = dataset.removesuffix("2pascal")
    assert numbers(cfg) == PUBLISHED[model, trained_on]
    masking = MASKINGS["hm" if "hm" in words else ""][model]
    assert cfg.masking._target_ == f"hmseg.masking.{masking}Masking"
    assert (cfg.dataset.name, cfg.backbone.name) == (dataset, backbone)
    assert (cfg.backbone.weights, cfg.fold) == ("imagenet", None if dataset == "fss" else 0)
    if model == "vat":
        assert cfg.model.affinity == AFFINITY[dataset]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    """The settings that name the stand-in folders, by data set."""
    folder = tmp_path_factory.mktemp("data")
    pascal, coco, fss = pascal_root(folder / "voc"), coco_root(folder / "coco"), fss_root(folder / "fss")
    return {
        "pascal": (f"dataset.root={pascal}",),
        "coco": (f"dataset.root={coco}",),
        "fss": (f"dataset.root={fss}",),
        "coco2pascal": (f"dataset.coco={coco}", f"dataset.pascal={pascal}"),
    }


@pytest.mark.filterwarnings("default")  # Lightning's about such short epochs
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_published_experiment_runs(
    experiment: str, roots: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    settings = roots[experiment.split("_")[-2]]
    if experiment.startswith("vat_"):
        settings += ("model.side=64",)  # a sixteenth of the published grid's time
    cfg = compose(
        f"experiment={experiment}",
        *settings,
        "dataset.image_size=64",
        "backbone.weights=random",
        "loader.batch_size=1",
        "loader.eval_batch_size=1",
        "loader.num_workers=0",
        "trainer.fast_dev_run=1",
        "trainer.accelerator=cpu",
        f"paths.output_dir={tmp_path}",
    )
    before = torch.get_rng_state()
    training.run(cfg)
    torch.set_rng_state(before)
    assert not list(tmp_path.iterdir())  # a debug run leaves nothing
    assert instantiate(cfg.masking).variants  # what ran is what the file names
