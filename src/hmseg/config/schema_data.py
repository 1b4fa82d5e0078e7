"""Typed schemas of the data sets; the YAML files of ``conf/dataset`` hold the values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


def _key(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


MASK_HELP = "what mask files mean: auto, bright, labels, nonzero, opaque, a number, or a colour '#rrggbb'"


@dataclass
class DatasetConfig:
    """A benchmark: its size for the network, its folds, and the source that reads it."""

    name: str = MISSING
    image_size: int = _key(MISSING, "side of the network's input in pixels")
    folds: int = _key(0, "number of folds; 0: a benchmark without folds (fold=null)")
    source: Any = _key(MISSING, "node with the _target_ that reads it")


@dataclass
class ShapesSourceConfig:
    """``hmseg.data.shapes.ShapesSource``."""

    _target_: str = MISSING
    image_size: int = MISSING
    train_images: int = MISSING
    val_images: int = MISSING
    difficulty: float = MISSING
    seed: int = MISSING


@dataclass
class ShapesConfig(DatasetConfig):
    """``dataset=shapes``."""

    source: ShapesSourceConfig = field(default_factory=ShapesSourceConfig)


@dataclass
class PascalSourceConfig:
    """``hmseg.data.pascal.PascalSource``."""

    _target_: str = MISSING
    root: str = MISSING
    splits: str | None = None
    novel: str = "keep"


@dataclass
class PascalConfig(DatasetConfig):
    """``dataset=pascal``."""

    root: str = MISSING
    splits: str | None = None
    novel: str = "keep"
    source: PascalSourceConfig = field(default_factory=PascalSourceConfig)


@dataclass
class CocoSourceConfig(PascalSourceConfig):
    """``hmseg.data.coco.CocoSource``."""

    masks: str | None = None


@dataclass
class CocoConfig(DatasetConfig):
    """``dataset=coco``."""

    root: str = MISSING
    splits: str | None = None
    masks: str | None = None
    novel: str = "keep"
    source: CocoSourceConfig = field(default_factory=CocoSourceConfig)


@dataclass
class FssSourceConfig:
    """``hmseg.data.fss.FssSource``."""

    _target_: str = MISSING
    root: str = MISSING
    splits: str | None = None


@dataclass
class FssConfig(DatasetConfig):
    """``dataset=fss``."""

    root: str = MISSING
    splits: str | None = None
    source: FssSourceConfig = field(default_factory=FssSourceConfig)


@dataclass
class Coco2PascalSourceConfig:
    """``hmseg.data.coco2pascal.Coco2PascalSource``."""

    _target_: str = MISSING
    coco: str = MISSING
    pascal: str = MISSING
    splits: str | None = None
    masks: str | None = None
    novel: str = "keep"


@dataclass
class Coco2PascalConfig(DatasetConfig):
    """``dataset=coco2pascal``."""

    coco: str = MISSING
    pascal: str = MISSING
    splits: str | None = None
    masks: str | None = None
    novel: str = "keep"
    source: Coco2PascalSourceConfig = field(default_factory=Coco2PascalSourceConfig)


@dataclass
class FolderSourceConfig:
    """``hmseg.data.folder.FolderSource``."""

    _target_: str = MISSING
    root: str = MISSING
    folds: int = MISSING
    seed: int = MISSING
    held_out: list[list[str]] | None = None
    mask: Any = "auto"


@dataclass
class FolderConfig(DatasetConfig):
    """``dataset=folder``."""

    root: str = MISSING
    seed: int = MISSING
    held_out: list[list[str]] | None = None
    mask: Any = _key("auto", MASK_HELP)
    source: FolderSourceConfig = field(default_factory=FolderSourceConfig)


@dataclass
class CocoJsonSourceConfig:
    """``hmseg.data.coco_json.CocoJsonSource``."""

    _target_: str = MISSING
    images: str = MISSING
    annotations: str = MISSING
    folds: int = MISSING
    seed: int = MISSING
    held_out: list[list[str]] | None = None
    rule: str = MISSING
    novel: str = MISSING
    draw: str = MISSING
    strict: bool = False


@dataclass
class CocoJsonConfig(DatasetConfig):
    """``dataset=coco_json``."""

    images: str = MISSING
    annotations: str = MISSING
    seed: int = MISSING
    held_out: list[list[str]] | None = None
    rule: str = MISSING
    novel: str = MISSING
    draw: str = MISSING
    strict: bool = _key(False, "refuse a file with entries that can't be used, instead of leaving them out")
    source: CocoJsonSourceConfig = field(default_factory=CocoJsonSourceConfig)


@dataclass
class UnionSourceConfig:
    """``hmseg.data.union.UnionSource``."""

    _target_: str = MISSING
    _convert_: str = "partial"
    main: Any = MISSING
    others: Any = field(default_factory=dict)


@dataclass
class UnionConfig(DatasetConfig):
    """``dataset=union``."""

    source: UnionSourceConfig = field(default_factory=UnionSourceConfig)


DATASETS: tuple[tuple[str, str, type], ...] = (
    ("dataset", "_shapes", ShapesConfig),
    ("dataset", "_pascal", PascalConfig),
    ("dataset", "_coco", CocoConfig),
    ("dataset", "_fss", FssConfig),
    ("dataset", "_coco2pascal", Coco2PascalConfig),
    ("dataset", "_folder", FolderConfig),
    ("dataset", "_coco_json", CocoJsonConfig),
    ("dataset", "_union", UnionConfig),
)
