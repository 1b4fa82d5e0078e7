"""Was a checkpoint trained as a claim's experiment says?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hmseg.claims.nodes import differences, get, shown

_TRAINING: Sequence[tuple[str, str]] = (
    ("dataset.image_size", "image size of the training"),
    ("dataset.novel", "dataset.novel"),
    ("optimizer", "optimiser"),
    ("loader.train_episodes", "episodes of an epoch"),
    ("loader.train_shot", "shots of the training"),
    ("loader.replacement", "loader.replacement"),
    ("loader.val_episodes", "validation episodes"),
    ("loader.protocol", "protocol of the validation"),
    ("loader.protocol_seed", "seed of the validation episodes"),
    ("loader.resize", "resize of the training"),
    ("loader.augmentation", "augmentation"),
    ("trainer.max_epochs", "epochs at most"),
    ("trainer.max_steps", "steps at most"),
    ("trainer.max_time", "training time at most"),
    ("trainer.precision", "precision of the training"),
    ("trainer.gradient_clip_val", "gradient clipping"),
    ("trainer.limit_train_batches", "trainer.limit_train_batches"),
    ("trainer.limit_val_batches", "trainer.limit_val_batches"),
    ("trainer.val_check_interval", "trainer.val_check_interval"),
    ("trainer.check_val_every_n_epoch", "trainer.check_val_every_n_epoch"),
    ("void_in_loss", "void pixels in the loss"),
)
"""Settings of a training that must be those of the experiment, and what they are called in a reason."""


def of_training(expected: Mapping[str, Any], config: Mapping[str, Any]) -> Iterable[str]:
    """Reasons why not, in words.

    Args:
        expected: configuration of the experiment.
        config: configuration of the training.
    """
    for part in ("model", "masking"):
        for reason in differences(part, config.get(part), expected[part]):
            yield f"{reason} in training"
    for key, name in _TRAINING:
        ours, theirs = get(config, key), get(expected, key)
        if isinstance(theirs, Mapping):
            yield from differences(name, ours, theirs)
        elif ours != theirs:
            yield f"{name} {shown(ours)} instead of {shown(theirs)}"
    if get(config, "features.precision") == "float16":
        yield "trained on backbone maps rounded to float16"
    weights = get(config, "backbone.weights")
    if weights != expected["backbone"].get("weights"):
        yield f"trained on backbone weights {weights} instead of {expected['backbone'].get('weights')}"
    batch = episodes_of_a_step(config)
    if batch is None:
        yield f"trainer.devices={get(config, 'trainer.devices')} doesn't tell how many devices trained"
    elif batch != expected["loader"]["batch_size"]:
        yield f"{batch} episodes of a step instead of {expected['loader']['batch_size']}"


def episodes_of_a_step(config: Mapping[str, Any]) -> int | None:
    """Episodes that one step of the optimiser sees: batch, devices, machines and accumulation.

    Returns:
        None where the configuration doesn't say how many devices there are.

    Example:
        >>> episodes_of_a_step({"loader": {"batch_size": 5}, "trainer": {"devices": [0, 1]}})
        10
    """
    devices = get(config, "trainer.devices")
    if isinstance(devices, str) and devices.isdigit():
        devices = int(devices)
    count = len(devices) if isinstance(devices, list | tuple) else devices
    if devices == "auto" and get(config, "trainer.accelerator") == "cpu":
        count = 1
    if not isinstance(count, int) or count < 1:
        return None
    times = [get(config, f"trainer.{key}") or 1 for key in ("num_nodes", "accumulate_grad_batches")]
    return int(get(config, "loader.batch_size") or 0) * count * int(times[0]) * int(times[1])
