"""From an evaluation back to the training, in W&B's graph of artifacts."""

from __future__ import annotations

import logging
from pathlib import Path

from hmseg.errors import first_line
from hmseg.files import sha256
from hmseg.tracking.artifacts import TYPE
from hmseg.tracking.origin import origin_of
from hmseg.tracking.run_logger import RunLogger

log = logging.getLogger(__name__)


def use_checkpoint(logger: RunLogger, path: Path) -> None:
    """Tells W&B which checkpoint a run uses: in its configuration, and online by the artifact that holds it.

    A checkpoint that isn't at W&B (yet), or is another one there, is used all the same.

    Args:
        logger: of the run.
        path: of the checkpoint; ``wandb.json`` beside it or in its run folder says where it comes from.
    """
    origin, digest = origin_of(path), sha256(path)
    artifact = None if origin is None else origin.artifact(path.name)
    about = {"file": path.name, "sha256": digest, "artifact": artifact, "run": origin and origin.run}
    logger.configure({"checkpoint": about})
    if artifact is None or logger.mode != "online":
        return
    if problem := _use(logger, artifact, digest):
        log.warning("%s: W&B shows no line from the training to this evaluation (%s)", artifact, problem)


def _use(logger: RunLogger, artifact: str, digest: str) -> str | None:
    """What hinders, or None."""
    import wandb
    from wandb.errors import Error

    try:
        found = wandb.Api().artifact(artifact, type=TYPE)
        if (found.metadata or {}).get("sha256") != digest:
            return "it holds another file now"
        logger.experiment.use_artifact(found)
    except (Error, ValueError, OSError) as error:
        return first_line(error)
    return None
