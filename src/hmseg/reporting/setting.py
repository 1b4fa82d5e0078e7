"""What a measurement was made with, apart from fold and seed: the ground on which methods are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

MASKINGS = ("none", "feature", "input", "hybrid")
AGGREGATIONS = ("vote", "mean_logits", "mean_probability", "concat")
CHECKPOINTS = ("best", "last", "other")
_NAMES = {
    "NoMasking": "none",
    "FeatureMasking": "feature",
    "InputMasking": "input",
    "HybridMasking": "hybrid",
}
_PUBLISHED_OPTIONS = {  # of conf/masking/hybrid.yaml and input.yaml; others are named in the label
    "relu": "before",
    "threshold": 0.0,
    "mix": None,
    "remask": False,
    "levels": None,
    "fill": "mean",
    "dilate": 0,
}


@dataclass(frozen=True)
class Setting:
    """One configuration; equal ones are folds and seeds of the same thing.

    Attributes:
        dataset: of the test.
        shot: supports per episode.
        protocol: hsnet, ifsl, strict or manifest.
        protocol_seeds: of the episodes.
        episodes: how many.
        lists: published or own.
        size: height and width of the network's input.
        original_size: scored at the query's own size?
        model: hsnet, asnet, vat or a class's name.
        backbone: its name.
        masking: none, feature, input, hybrid, with options that are not the published ones in brackets.
        aggregation: of several supports; "" for one.
        checkpoint: best, last or other.
        origin: trained, imported or published.
        selection: of the best checkpoint: published or clean; "" where unknown.
        precision: of the numbers where it is not float32 throughout, such as ``bf16-mixed``; "" where it is.
        training: settings of the training that tell apart runs compared here; "" where unknown.
    """

    dataset: str
    shot: int
    protocol: str
    protocol_seeds: tuple[int, ...]
    episodes: int
    lists: str
    size: tuple[int, ...]
    original_size: bool
    model: str
    backbone: str
    masking: str
    aggregation: str
    checkpoint: str
    origin: str
    selection: str
    precision: str = ""
    training: str = ""

    def without(self, *names: str) -> Setting:
        """The same with some attributes blank: what methods that differ in these alone have in common.

        Example:
            >>> setting = Setting("pascal", 1, "hsnet", (0,), 9, "own", (64, 64), False, "hsnet", "vgg16",
            ...                   "none", "", "best", "trained", "published")
            >>> setting.without("masking") == replace(setting, masking="")
            True
        """
        blank: dict[str, Any] = {
            "shot": 0,
            "episodes": 0,
            "protocol_seeds": (),
            "size": (),
            "original_size": False,
        }
        return replace(self, **{name: blank.get(name, "") for name in names})

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts settings for a reader: maskings and checkpoints in their usual order."""
        key: list[Any] = []
        for field in fields(self):
            value = getattr(self, field.name)
            known = {"masking": MASKINGS, "aggregation": AGGREGATIONS, "checkpoint": CHECKPOINTS}
            if field.name in known:
                key.append(rank(value, known[field.name]))
            key.append(value)
        return tuple(key)

    @property
    def at(self) -> str:
        """At what size it was scored, in words."""
        return "original size" if self.original_size else f"{'×'.join(map(str, self.size))} px"

    @property
    def episodes_of(self) -> str:
        """How episodes were drawn, in words."""
        seeds = ", ".join(map(str, self.protocol_seeds))
        drawn = "of a manifest" if self.protocol == "manifest" else f"protocol {self.protocol}"
        seeded = "" if self.protocol_seeds in ((0,), ()) else f", seeds {seeds}"
        return f"{self.episodes} episodes, {drawn}{seeded}"


def rank(label: str, known: tuple[str, ...]) -> int:
    """Place of a label among known ones by its first word, the unknown last.

    Example:
        >>> rank("hybrid (mix=0.25)", MASKINGS), rank("mine", MASKINGS)
        (3, 4)
    """
    first = label.split(" ")[0]
    return known.index(first) if first in known else len(known)


def masking_label(node: Mapping[str, Any]) -> str:
    """Name of a masking with its options where they are not the published ones.

    Example:
        >>> masking_label({"_target_": "hmseg.masking.HybridMasking", "mix": 0.25, "dilate": 0})
        'hybrid (mix=0.25)'
        >>> masking_label({"_target_": "mine.Masking"})
        'mine.Masking'
    """
    target = str(node.get("_target_", "unknown"))
    name = _NAMES.get(target.rpartition(".")[2], target)
    options = [
        f"{key}={value}"
        for key, value in sorted(node.items())
        if not key.startswith("_") and (key not in _PUBLISHED_OPTIONS or value != _PUBLISHED_OPTIONS[key])
    ]
    return f"{name} ({', '.join(options)})" if options else name


def model_label(node: Mapping[str, Any]) -> str:
    """Name of a model.

    Example:
        >>> model_label({"_target_": "hmseg.networks.hsnet.HSNetHead", "_partial_": True})
        'hsnet'
    """
    name = str(node.get("_target_", "unknown")).rpartition(".")[2]
    return name.removesuffix("Head").lower() if name.endswith("Head") else name


def model_name(label: str) -> str:
    """As it is written: HSNet, ASNet, VAT.

    Example:
        >>> model_name("hsnet"), model_name("mine")
        ('HSNet', 'mine')
    """
    return {"hsnet": "HSNet", "asnet": "ASNet", "vat": "VAT"}.get(label, label)


def differing(settings: Iterable[Setting]) -> tuple[str, ...]:
    """Names of the attributes in which settings differ."""
    every = list(settings)
    return tuple(
        field.name for field in fields(Setting) if len({getattr(each, field.name) for each in every}) > 1
    )
