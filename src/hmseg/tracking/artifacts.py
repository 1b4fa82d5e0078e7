"""Checkpoints as W&B artifacts: sent at the end of a training, fetched by name for an evaluation."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hmseg.errors import CheckpointError, first_line
from hmseg.tracking.origin import Origin, read_origin, write_origin
from hmseg.tracking.references import Reference, parse_reference

TYPE = "model"
"""Of the artifacts."""
FOLDER = Path("outputs") / "wandb"
"""Where fetched checkpoints go, below the folder that one works in."""
TIMEOUT = 30
"""Seconds for an answer of the server."""
_OFFLINE = ("offline", "disabled", "dryrun")
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-=")


def artifact_name(run: str) -> str:
    """The artifact in which a run's checkpoints are versions.

    Example:
        >>> artifact_name("1a2b3c")
        'checkpoint-1a2b3c'
    """
    return f"checkpoint-{run}"


def fetch(key: str, given: str, folder: Path | None = None) -> Path:
    """The checkpoint of an artifact, downloaded below a folder unless it is there already.

    Its file lies in a folder of its own for each version, with a ``wandb.json`` that says what it is. It is
    as trusted as any other checkpoint: its reader takes tensors and plain data only.

    Args:
        key: of the setting, for messages.
        given: ``wandb:entity/project/artifact:alias``.
        folder: where to; None: ``outputs/wandb``.

    Returns:
        The file.

    Raises:
        CheckpointError: a name that is none, no account, no connection, no such artifact, or no single
            checkpoint in it.
    """
    reference, what = parse_reference(key, given), f"{key}={given}"
    if (mode := os.environ.get("WANDB_MODE", "")) in _OFFLINE:
        raise CheckpointError(
            f"{what}: WANDB_MODE={mode}, so nothing can be fetched; unset it, or give a checkpoint of this "
            "machine"
        )
    try:
        artifact = _find(what, reference)
        name, entry = _checkpoint_in(what, artifact)
        place = reference.entity, reference.project, reference.artifact, str(artifact.version)
        target = (folder or FOLDER).joinpath(*(_harmless(what, part) for part in place)) / name
        if not _is_there(target, entry):
            _download(what, entry, target)
            write_origin(target.parent, _origin(reference, artifact, name))
    except OSError as error:  # those of the network are, too
        raise CheckpointError(f"{what}: can't be fetched ({first_line(error)})") from error
    return target


def _find(what: str, reference: Reference) -> Any:
    """The artifact of the public API.

    Raises:
        CheckpointError: the server can't be asked or doesn't have it.
    """
    import wandb
    from wandb.errors import Error, UsageError

    try:
        return wandb.Api(timeout=TIMEOUT).artifact(str(reference), type=TYPE)
    except UsageError as error:
        raise CheckpointError(
            f"{what}: {first_line(error).rstrip('.')}; WANDB_API_KEY works, too; or give a checkpoint "
            "of this machine"
        ) from error
    except (Error, ValueError) as error:
        raise CheckpointError(
            f"{what}: W&B doesn't give it ({first_line(error)}); check name, account and connection"
        ) from error


def _checkpoint_in(what: str, artifact: Any) -> tuple[str, Any]:
    """Name and entry of the one checkpoint; refuses links to elsewhere and names that are paths."""
    entries = {str(path): entry for path, entry in artifact.manifest.entries.items()}
    found = [path for path in entries if path.endswith(".ckpt")]
    if len(found) != 1:
        holds = ", ".join(sorted(entries)[:5]) or "nothing"
        raise CheckpointError(f"{what}: expected one .ckpt file in the artifact, it holds {holds}")
    (path,) = found
    if entries[path].ref is not None:
        raise CheckpointError(f"{what}: {path} is a link to elsewhere, which is not followed")
    return _harmless(what, path), artifact.get_entry(path)


def _harmless(what: str, name: str) -> str:
    """The name, where it can be one of a file or folder and nothing else."""
    if not name.strip(".") or not set(name) <= _SAFE:
        raise CheckpointError(f"{what}: '{name}' is no name for a file; nothing was fetched")
    return name


def _is_there(target: Path, entry: Any) -> bool:
    from wandb.sdk.lib.hashutil import md5_file_b64

    told = read_origin(target.parent) is not None
    return told and target.is_file() and md5_file_b64(target) == entry.digest


def _origin(reference: Reference, artifact: Any, name: str) -> Origin:
    about = artifact.metadata if isinstance(artifact.metadata, dict) else {}
    run, group = (value if isinstance(value := about.get(each), str) else None for each in ("run", "group"))
    held = {name: f"{reference.artifact}:{artifact.version}"}
    return Origin(reference.entity, reference.project, run, group, held)


def _download(what: str, entry: Any, target: Path) -> None:
    """Downloads beside the target and moves the file there: it is whole or not there.

    Raises:
        CheckpointError: no file came, or not the one of the manifest.
        OSError: a folder can't be written, or the connection broke.
    """
    from wandb.errors import Error
    from wandb.sdk.lib.hashutil import md5_file_b64

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part") as part:
        try:
            came = Path(entry.download(root=part, skip_cache=True))
        except (Error, ValueError) as error:
            raise CheckpointError(f"{what}: can't be downloaded ({first_line(error)})") from error
        if came != Path(part) / target.name or md5_file_b64(came) != entry.digest:
            raise CheckpointError(f"{what}: the file that came is not the one that was announced")
        came.replace(target)
