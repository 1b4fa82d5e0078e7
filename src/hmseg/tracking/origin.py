"""``wandb.json``: beside checkpoints, the W&B run that they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hmseg.files import writing
from hmseg.untrusted import json_or_none

FILE = "wandb.json"


@dataclass(frozen=True)
class Origin:
    """A W&B run.

    Attributes:
        entity: user or team; None where the run was offline and has none yet.
        project: of the entity.
        run: its id.
        group: its group.
        artifacts: by the name of a checkpoint's file, the artifact that holds it, ``name:alias``.
    """

    entity: str | None
    project: str
    run: str | None = None
    group: str | None = None
    artifacts: Mapping[str, str] = field(default_factory=dict)

    def artifact(self, file: str) -> str | None:
        """Full name of the artifact that holds a file, as far as it is known; None for none."""
        name = self.artifacts.get(file)
        return None if name is None else "/".join(filter(None, (self.entity, self.project, name)))


def write_origin(folder: Path, origin: Origin) -> None:
    """Writes ``wandb.json`` into a folder, whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    with writing(folder / FILE) as file:
        json.dump(asdict(origin), file, indent=1)
        file.write("\n")


def read_origin(folder: Path) -> Origin | None:
    """What ``wandb.json`` of a folder says; None where there is none or it is damaged."""
    return _parsed(json_or_none(folder / FILE))


def _parsed(found: Any) -> Origin | None:
    if not isinstance(found, dict) or not isinstance(found.get("project"), str):
        return None
    entity, run, group = (found.get(key) for key in ("entity", "run", "group"))
    artifacts = found.get("artifacts")
    if not all(value is None or isinstance(value, str) for value in (entity, run, group)):
        return None
    if not isinstance(artifacts, dict) or not all(isinstance(each, str) for each in artifacts.values()):
        return None
    return Origin(entity, found["project"], run, group, artifacts)


def origin_of(checkpoint: Path) -> Origin | None:
    """The W&B run that a checkpoint comes from: beside it, or in the run folder that it is in."""
    return read_origin(checkpoint.parent) or read_origin(checkpoint.parent.parent)
