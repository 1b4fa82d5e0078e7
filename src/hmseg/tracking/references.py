"""Names of checkpoints at W&B as they are typed: ``wandb:entity/project/artifact:alias``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hmseg.errors import CheckpointError

PREFIX = "wandb:"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_EXPECTED = "expected wandb:ENTITY/PROJECT/ARTIFACT:ALIAS, such as wandb:team/hmseg/checkpoint-1a2b3c:best"


@dataclass(frozen=True)
class Reference:
    """An artifact.

    Attributes:
        entity: user or team.
        project: of the entity.
        artifact: its name.
        alias: ``best``, ``last``, ``latest`` or a version such as ``v3``.
    """

    entity: str
    project: str
    artifact: str
    alias: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.artifact}:{self.alias}"


def is_reference(text: str) -> bool:
    """Is it meant as a name at W&B?

    Example:
        >>> is_reference("wandb:team/hmseg/checkpoint-1a2b3c"), is_reference("outputs/best.ckpt")
        (True, False)
    """
    return text.startswith(PREFIX)


def parse_reference(key: str, text: str) -> Reference:
    """The artifact that a text names; without an alias the best.

    Args:
        key: of the setting, for the message.
        text: ``wandb:entity/project/artifact`` with ``:alias`` or without.

    Raises:
        CheckpointError: it is no such name. Nothing that a path could climb out of a folder with is one.

    Example:
        >>> print(parse_reference("ckpt", "wandb:team/hmseg/checkpoint-1a2b3c"))
        team/hmseg/checkpoint-1a2b3c:best
        >>> parse_reference("ckpt", "wandb:team/../checkpoint-1a2b3c")
        Traceback (most recent call last):
        hmseg.errors.CheckpointError: ckpt=wandb:team/../checkpoint-1a2b3c: expected wandb:ENTITY/PROJECT/...
    """
    path, colon, alias = text.removeprefix(PREFIX).partition(":")
    parts = path.split("/")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in (*parts, alias if colon else "best")):
        raise CheckpointError(f"{key}={text}: {_EXPECTED}")
    entity, project, artifact = parts
    return Reference(entity, project, artifact, alias if colon else "best")
