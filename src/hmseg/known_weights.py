"""A backbone's weights beside those that its name stands for, where these need no download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from hmseg.backbones import Backbone
from hmseg.checkpoints import COUNTERS
from hmseg.errors import WeightsError
from hmseg.state_dicts import listed, misfits
from hmseg.weights import KEPT, at_hand, cached


class Comparison(NamedTuple):
    """How two sets of weights compare.

    Attributes:
        result: ``identical``, ``different`` or ``not compared``.
        text: that in words, with the reason or the size of the difference.
        entries: how many entries differ.
        largest: the largest absolute difference.
    """

    result: str
    text: str
    entries: int = 0
    largest: float = 0.0

    def record(self) -> dict[str, Any]:
        """As plain data."""
        numbers = {"entries": self.entries, "largest": self.largest} if self.result == "different" else {}
        return {"result": self.result, **numbers}


def compare_backbone(backbone: Backbone, name: str, weights: str) -> Comparison:
    """How a backbone's weights compare with those that ``weights`` means; nothing is downloaded for it.

    Args:
        backbone: with the weights to be judged.
        name: of the backbone.
        weights: as for :func:`hmseg.weights.load_weights`.

    Raises:
        WeightsError: a file was given that is missing, damaged or of another backbone.

    Example:
        >>> from hmseg.backbones import build_backbone
        >>> backbone = build_backbone("mobilenet_v2", "bundled")
        >>> compare_backbone(backbone, "mobilenet_v2", "bundled").text
        "identical with weights 'bundled'"
        >>> _ = backbone.features[0][0].weight.data.add_(0.5)
        >>> compare_backbone(backbone, "mobilenet_v2", "bundled").text
        "different from weights 'bundled' in 1 entry, by 0.5 at most (features.0.0.weight)"
    """
    label = f"the ImageNet weights of {name}" if weights == "imagenet" else f"weights '{weights}'"
    if weights in KEPT:
        return Comparison("not compared", f"not compared, because of backbone.weights={weights}")
    try:
        known = at_hand(name, weights)
        differing = None if known is None else differences(backbone, known)
    except WeightsError as error:
        if weights != "imagenet":
            raise
        return Comparison("not compared", f"not compared: {error}")
    if differing is None:
        place = f" (no {path})" if (path := cached(name)) else ""
        hint = "give backbone.weights=FILE to compare"
        return Comparison("not compared", f"not compared: {label} are not on this machine{place}; {hint}")
    if not differing:
        return Comparison("identical", f"identical with {label}")
    worst = max(differing, key=lambda key: differing[key])
    count = f"{len(differing)} {'entry' if len(differing) == 1 else 'entries'}"
    text = f"different from {label} in {count}, by {differing[worst]:.3g} at most ({worst})"
    return Comparison("different", text, len(differing), differing[worst])


def differences(backbone: Backbone, known: Mapping[str, Tensor]) -> dict[str, float]:
    """The largest absolute difference in each entry that differs, by name.

    Args:
        backbone: not changed.
        known: a state dict of the same backbone, with or without classifier.

    Raises:
        WeightsError: it is of another backbone.
    """
    own = {name: value for name, value in backbone.state_dict().items() if not name.endswith(COUNTERS)}
    relevant = {
        name: value
        for name, value in known.items()
        if not name.endswith(COUNTERS) and (name in own or not name.startswith(backbone.classifier_prefixes))
    }
    if problems := misfits(own, relevant):
        raise WeightsError(f"the weights to compare with are of another backbone: {listed(problems)}")
    largest = {name: float((value - relevant[name]).abs().max()) for name, value in own.items()}
    return {name: value for name, value in largest.items() if value > 0}


def known_classifier(backbone: Backbone, name: str, weights: str) -> dict[str, Tensor]:
    """The classifier's entries of the known weights, torchvision's names; empty where they aren't at hand.

    Args:
        backbone: says which entries are a classifier's.
        name: of the backbone.
        weights: as for :func:`hmseg.weights.load_weights`; the ImageNet ones where these have no name.
    """
    try:
        known = at_hand(name, "imagenet" if weights in KEPT else weights) or {}
    except WeightsError:
        return {}
    return {key: value for key, value in known.items() if key.startswith(backbone.classifier_prefixes)}
