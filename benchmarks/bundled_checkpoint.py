"""Makes the checkpoint that the package carries from a finished run.

python benchmarks/bundled_checkpoint.py RUN_FOLDER src/hmseg/assets/segmenter.ckpt

Takes the run's best checkpoint: the head's weights in half precision (11 significant bits), what the run was,
and its history; optimiser, loops and every folder of the machine stay behind. The backbone is the bundled
MobileNetV2, recognised by its fingerprint.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hmseg.files import writing_bytes
from hmseg.run_checkpoints import HISTORY, read_checkpoint

KEPT = ("epoch", "global_step", "pytorch-lightning_version")
PLACES = ("paths", "features", "logger", "callbacks", "hydra", "resume")
"""Parts of the configuration that say where things went on one machine."""


def main(argv: Sequence[str] | None = None) -> None:
    """Read, reduce, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="checkpoint to write")
    args = parser.parse_args(argv)
    content = reduced(read_checkpoint(args.run / "checkpoints" / "best.ckpt"))
    with writing_bytes(args.out) as file:
        torch.save(content, file)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, epoch {content['epoch'] + 1}")


def reduced(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a checkpoint."""
    about = dict(checkpoint["hmseg"])
    about["config"] = {key: value for key, value in about["config"].items() if key not in PLACES}
    history = checkpoint.get("callbacks", {}).get(HISTORY)
    return {
        **{key: checkpoint[key] for key in KEPT},
        "hmseg": about,
        "state_dict": {name: _half(value) for name, value in checkpoint["state_dict"].items()},
        "callbacks": {} if history is None else {HISTORY: history},
    }


def _half(value: torch.Tensor) -> torch.Tensor:
    half = value.half() if value.is_floating_point() else value
    if not bool(half.isfinite().all()):
        raise SystemExit("error: a weight is beyond half precision's range")
    return half


if __name__ == "__main__":
    main()
