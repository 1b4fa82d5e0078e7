"""What a run is called: group, job type, name and tags, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hmseg.reporting.setting import masking_label, model_label

_LONGEST = 64
"""Characters of a tag; W&B refuses longer ones."""


@dataclass(frozen=True)
class Labels:
    """A run in a few words; logged as ``labels`` beside the configuration, to group runs by.

    Attributes:
        kind: ``train`` or ``evaluate``.
        experiment: name of the experiment, by which runs are grouped.
        model: hsnet, asnet, vat or a class's name.
        masking: none, feature, input, hybrid, with options that are not the published ones in brackets.
        dataset: its name.
        backbone: its name.
        fold: whose classes are held out; None for a data set without folds.
        shot: supports per test episode.
        seed: of the training.
    """

    kind: str
    experiment: str
    model: str
    masking: str
    dataset: str
    backbone: str
    fold: int | None
    shot: int
    seed: int

    @property
    def job_type(self) -> str:
        """The fold: W&B groups runs within a group by it."""
        return "no fold" if self.fold is None else f"fold{self.fold}"

    @property
    def name(self) -> str:
        """How a run is listed; not unique, as W&B doesn't ask for it."""
        fold = "" if self.fold is None else f" fold {self.fold}"
        return f"{'evaluate ' if self.kind == 'evaluate' else ''}{self.masking}{fold} seed {self.seed}"

    @property
    def tags(self) -> list[str]:
        """``key=value`` as on the command line, and the kind."""
        named = {name: getattr(self, name) for name in ("model", "masking", "dataset", "backbone", "shot")}
        return [self.kind, *(f"{key}={value}"[:_LONGEST] for key, value in named.items())]

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def labels_of(config: Mapping[str, Any], kind: str, experiment: str | None = None) -> Labels:
    """The labels of a run.

    Args:
        config: the resolved configuration as plain data.
        kind: ``train`` or ``evaluate``.
        experiment: its name; None: model, data set and backbone, so that maskings, folds and seeds of the
            same thing come together.

    Example:
        >>> from hmseg.config import compose_plain
        >>> labels = labels_of(compose_plain("masking=feature", "fold=2"), "train")
        >>> labels.experiment, labels.job_type, labels.name
        ('hsnet-shapes-mobilenet_v2', 'fold2', 'feature fold 2 seed 0')
        >>> labels.tags[:3]
        ['train', 'model=hsnet', 'masking=feature']
    """
    model, masking = model_label(config["model"]), masking_label(config["masking"])
    dataset, backbone = str(config["dataset"]["name"]), _backbone(config["backbone"])
    return Labels(
        kind=kind,
        experiment=experiment or f"{model}-{dataset}-{backbone}",
        model=model,
        masking=masking,
        dataset=dataset,
        backbone=backbone,
        fold=config["fold"],
        shot=config["shot"],
        seed=config["seed"],
    )


def _backbone(node: Mapping[str, Any]) -> str:
    return str(node.get("name") or str(node.get("_target_", "unknown")).rpartition(".")[2])
