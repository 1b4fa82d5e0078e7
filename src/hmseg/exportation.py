"""A trained network as files for other programs; each is checked against PyTorch before it has its name."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import torch
from omegaconf import DictConfig

import hmseg
from hmseg.assembly import load_network
from hmseg.config.checks_export import check_targets, targets
from hmseg.deployment.checking import check
from hmseg.deployment.formats import Format, find_format
from hmseg.deployment.parts import Part, Sizes, example, parts_of, sizes_to_try
from hmseg.errors import ExportError, first_line
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD
from hmseg.networks import FewShotNetwork
from hmseg.run_checkpoints import read_checkpoint


def run(cfg: DictConfig) -> list[Path]:
    """The entry point's work: export ``cfg.ckpt`` to ``cfg.out``.

    Returns:
        The files that were written.

    Raises:
        HmsegError: the checkpoint can't be used, the network can't be exported, a file doesn't compute what
            the network does, or can't be written.
    """
    paths = targets(cfg.out, cfg.format, cfg.part)
    check_targets(paths, cfg.overwrite)
    network = load_network(cfg, read_checkpoint(Path(cfg.ckpt)))
    parts = parts_of(network, cfg.part, cfg.any_size)
    with ExitStack() as stack:
        try:
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=paths[0].parent, prefix=".export."))
        except OSError as error:
            raise ExportError(f"out={cfg.out}: can't be written ({first_line(error)})") from error
        fresh = [Path(folder) / path.name for path in paths]
        errors = export(network, parts, find_format(cfg.format, cfg.opset, cfg.any_size), fresh, cfg)
        for part, path in zip(fresh, paths, strict=True):
            os.replace(part, path)
    for sizes, off in errors.items():
        print(f"{sizes}: relative error {off:.1e}")
    print(f"written to {', '.join(map(str, paths))}; checked against PyTorch {torch.__version__}")
    return paths


def export(
    network: FewShotNetwork, parts: list[Part], form: Format, paths: list[Path], cfg: DictConfig
) -> dict[str, float]:
    """Write all parts and check them together.

    Returns:
        The relative error of the logits for each episode that was tried.

    Raises:
        ExportError: a part can't be exported, or doesn't compute what the network does.
    """
    side = cfg.image_size
    square = Sizes(2, 2, (side, side), (side, side))
    for part, path in zip(parts, paths, strict=True):
        try:
            form.write(part, example(part, square), path, metadata(network, part, cfg))
        except Exception as error:  # noqa: BLE001 - the exporters raise of everything
            if isinstance(error, hmseg.HmsegError):
                raise
            raise ExportError(
                f"{part.name} can't be exported as {cfg.format}: {type(error).__name__}: {first_line(error)}"
            ) from error
    return check(network, [form.read(path) for path in paths], sizes_to_try(side, cfg.any_size))


def metadata(network: FewShotNetwork, part: Part, cfg: DictConfig) -> dict[str, str]:
    """What a program needs to know to use the file, and where it comes from; every value is text.

    Lists and numbers are JSON.
    """
    size = "any" if cfg.any_size else [cfg.image_size, cfg.image_size]
    about = {
        "part": part.name,
        "inputs": list(part.inputs),
        "outputs": list(part.outputs),
        "image_size": size,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "channels": "RGB in 0 … 1, less mean, divided by std",
        "masking": repr(network.masking),
        "model": type(network.head).__name__,
        "backbone": str(cfg.backbone.get("name", type(network.backbone).__name__)),
        "aggregation": cfg.aggregation,
        "checkpoint": Path(cfg.ckpt).name,
        "hmseg": hmseg.__version__,
        "torch": str(torch.__version__),
    }
    if cfg.format == "onnx":
        about["opset"] = cfg.opset
    return {
        f"hmseg.{key}": value if isinstance(value, str) else json.dumps(value) for key, value in about.items()
    }
