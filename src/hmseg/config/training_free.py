"""The settings of a model without learnable parameters, which needs no checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Override

MODELS = ("prototype",)
DEFAULTS = {
    "masking": "feature",  # the best of the four on training classes, and half the price of hybrid
    "backbone": "efficientnet_lite2",  # in the package, and the best small one on training classes
    "dataset": "shapes",  # as in training
    "dataset.image_size": "560",  # the best of 320, 420 and 560 on training classes
    "aggregation": "concat",  # one prototype of all supports
}
"""What is not given; numbers are of results/prototype.md."""


def is_training_free(overrides: Sequence[Override]) -> bool:
    """Whether the model that is given needs no checkpoint."""
    return any(each.key_or_group == "model" and each.value() in MODELS for each in overrides)


NOTHING_TO_TRAIN = (
    "model=prototype: it has no learnable parameter, so there is nothing to train; test it by "
    "python -m hmseg.evaluate model=prototype, or use it by python -m hmseg.predict"
)


def completed(overrides: Sequence[Override]) -> list[str]:
    """Return the overrides with the defaults of what is not given, and no checkpoint."""
    given = {each.key_or_group for each in overrides}
    words = [each.input_line or "" for each in overrides]
    return [*(f"{key}={value}" for key, value in DEFAULTS.items() if key not in given), *words, "ckpt=null"]
