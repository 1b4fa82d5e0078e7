"""Entry point ``python -m hmseg.predict``: segment a folder of images by a few annotated ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import instantiate

from hmseg.cli import Program, entry
from hmseg.files import given_path

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hmseg.predicting.run import Request


def task(cfg: DictConfig) -> None:
    """Predict as configured; PyTorch is imported here, when the configuration is known to be right."""
    from hmseg.predicting.run import run

    run(request(cfg))


def request(cfg: DictConfig) -> Request:
    """What is asked for, as plain data.

    Args:
        cfg: a checked configuration; not changed.
    """
    from hmseg.predicting.run import Request

    return Request(
        ckpt=None if cfg.ckpt is None else Path(cfg.ckpt).expanduser(),
        support=Path(cfg.support).expanduser(),
        support_images=given_path(cfg.support_images),
        form=cfg.format,
        query=cfg.query,
        out=Path(cfg.out).expanduser(),
        name=cfg.name,
        reading=cfg.reading,
        overwrite=cfg.overwrite,
        resume=cfg.resume,
        overlays=cfg.overlays,
        batch=cfg.batch,
        options={
            "masking": None if cfg.masking is None else instantiate(cfg.masking),
            "weights": cfg.backbone.weights,
            "side": cfg.side,
            "aggregation": cfg.aggregation,
            "device": cfg.device,
            "precision": cfg.precision,
            "refine": cfg.refine,
            "presence": cfg.presence,
        },
    )


PROGRAM = Program(
    config_name="predict",
    task=task,
    purpose="Segment images by a few annotated ones: masks, overlays, and a summary as COCO's JSON.",
    examples=(
        "support=cat/ query=photos/ out=segmented/",
        "ckpt=outputs/2024-01-31/12-00-00 support=animals/ 'query=photos/**/*.jpg' out=segmented/",
        "support=cat/ query=photo.jpg out=feature/ masking=feature",
        "support=annotations.json query=photos/ out=segmented/ format=labelme",
        "support=cat/ query=photos/ out=segmented/ resume=true",
    ),
)


def main() -> None:
    """The console script ``hmseg-predict``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
