"""Earlier runs: their checkpoints, and the overrides that continue one in place."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from hydra.core.override_parser.types import Override

from hmseg.checkpoint_files import PRETRAINED, RESUMED, first_whole, is_whole
from hmseg.config.composer import Composer
from hmseg.config.shipped import shipped
from hmseg.errors import CheckpointError, ConfigError
from hmseg.files import writing
from hmseg.tracking.artifacts import fetch
from hmseg.tracking.references import is_reference
from hmseg.untrusted import parsing, read_text
from hmseg.untrusted.archives import packed
from hmseg.untrusted.settings import check

RUN_FILE = "run.json"
"""What a training leaves in its folder when it has come to its end."""
_OVERRIDES = Path(".hydra") / "overrides.yaml"
_KEPT = Path(".hydra") / "overrides.kept.yaml"
"""The same, moved into place whole: Hydra writes its file anew at each start, and may be killed at it."""

_FEW = 10**6  # bytes of overrides; YAML is slow
_LONGEST = 2000  # characters of one of them


def quoted(path: Path) -> str:
    """A path as a value that Hydra's grammar reads back unchanged.

    Example:
        >>> quoted(Path("runs/fold=1/it's.ckpt"))
        '"runs/fold=1/it\\'s.ckpt"'
    """
    text = str(path)
    for special in ("\\", '"'):
        text = text.replace(special, f"\\{special}")
    return f'"{text}"'


def readable(composer: Composer, word: str) -> str:
    """Quote a value whose characters alone Hydra's grammar refuses, such as a path with ``=`` in it."""
    key, equals, value = word.partition("=")
    if not equals or any(mark in value for mark in "'\"[]{},"):
        return word
    try:
        composer.parse([word])
    except ConfigError:
        return f"{key}={quoted(Path(value))}"
    return word


def find_checkpoint(key: str, given: str, names: Sequence[str]) -> Path:
    """The checkpoint that was meant: a file, or the first of ``names`` in a run folder.

    Args:
        key: of the setting, for the message.
        given: path of a file or a run folder; a name at W&B (``hmseg.tracking``), which is downloaded; or
            one of ``PRETRAINED``, where there is no such file.
        names: file names looked for in ``<run>/checkpoints``.

    Returns:
        Its absolute path.

    Raises:
        CheckpointError: it does not exist, is damaged or can't be fetched.
    """
    path = fetch(key, given) if is_reference(given) else Path(given).expanduser()
    if given in PRETRAINED and not path.exists():
        path = PRETRAINED[given]
    if path.is_dir():
        candidates = [folder / name for folder in (path / "checkpoints", path) for name in names]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
        if found is None:
            raise CheckpointError(f"{key}={given}: the folder holds no checkpoints/{' or '.join(names)}")
        path = found
    if not path.is_file():
        raise CheckpointError(f"{key}={given}: there is no such file or folder")
    if said := packed(path):
        raise CheckpointError(f"{key}={given}: {said}")
    if not is_whole(path):
        raise CheckpointError(f"{key}={given}: not a checkpoint, or a truncated one")
    return path.absolute()


def find_resumed(given: str) -> Path:
    """The checkpoint from which a run goes on: the file given, or of a run folder the latest whole one.

    Damaged ones are passed over, with a line to stderr for each.

    Returns:
        Its absolute path.

    Raises:
        CheckpointError: there is none.
    """
    folder = Path(given).expanduser().absolute()
    if not folder.is_dir():
        return find_checkpoint("resume", given, ())
    for place in (folder / "checkpoints", folder):
        chosen, damaged = first_whole(place)
        for path in damaged if chosen is not None else ():
            print(f"warning: {path} is damaged, going on from {chosen}", file=sys.stderr)
        if chosen is not None:
            return chosen
        if damaged:
            raise CheckpointError(
                f"resume={given}: {' and '.join(path.name for path in damaged)} damaged, and no other "
                "checkpoint is there: start the run anew"
            )
    raise CheckpointError(f"resume={given}: the folder holds no checkpoints/{RESUMED[0]}")


def replay(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """The overrides that continue a run in place, where ``resume=…`` is among them.

    The run's own overrides come first, the given ones after them; a key given again replaces the stored one.

    Args:
        composer: parses the overrides.
        overrides: as given; returned as they are when ``resume`` is not among them.

    Raises:
        ConfigError: an override can't be read, or the run's overrides are missing or damaged.
        CheckpointError: the checkpoint is missing or damaged.
    """
    given = composer.parse(overrides)
    resume = [override.value() for override in given if override.key_or_group == "resume"]
    if not resume or resume[-1] is None:
        return list(overrides)
    if not isinstance(resume[-1], str):
        raise ConfigError("resume: expected the path of one run folder or checkpoint")
    if is_reference(resume[-1]):
        raise ConfigError("resume: a run goes on in its own folder, so give that, not a name at W&B")
    checkpoint = find_resumed(resume[-1])
    run = next((folder for folder in checkpoint.parents if (folder / _OVERRIDES).is_file()), None)
    if run is None:
        raise CheckpointError(
            f"resume={resume[-1]}: not inside a run folder (none above it holds {_OVERRIDES}); "
            "to start from other weights, train anew"
        )
    replaced = {override.key_or_group for override in given} | {"resume", "hydra.run.dir"}
    file = run / (_KEPT if (run / _KEPT).is_file() else _OVERRIDES)
    stored = [each for each in composer.parse(_stored_overrides(file)) if each.key_or_group not in replaced]
    for override in stored:
        _check_stored(file, composer, override)
    kept = [override.input_line for override in stored]
    own = [
        override.input_line for override in given if override.key_or_group not in ("resume", "hydra.run.dir")
    ]
    place = [f"resume={quoted(checkpoint)}", f"hydra.run.dir={quoted(run)}"]
    return [line for line in (*kept, *own, *place) if line is not None]


def keep_overrides(folder: Path, overrides: Sequence[str]) -> None:
    """Leaves the overrides of a run where ``replay`` finds them whole, whatever happens to Hydra's own file.

    Args:
        folder: of the run; without a ``.hydra`` (processes that Lightning started) nothing is written.
        overrides: of the task.
    """
    if (folder / _KEPT.parent).is_dir():
        with writing(folder / _KEPT) as file:
            yaml.safe_dump(list(overrides), file)


def check_srun(overrides: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
    """Refuses processes of ``srun`` that would each write a folder of their own.

    Args:
        overrides: as given.
        environment: variables of this process.

    Raises:
        ConfigError: there are several processes and no name for the folder.
    """
    tasks = environment.get("SLURM_NTASKS", "1")
    named = any(word.startswith(("hydra.run.dir=", "hydra.sweep.dir=", "resume=")) for word in overrides)
    if "SLURM_STEP_ID" in environment and tasks not in ("", "1") and not named:
        raise ConfigError(
            f"srun started {tasks} processes, and by default each would name its folder by its own clock: "
            "give hydra.run.dir=…, the same for all, such as hydra.run.dir=runs/$SLURM_JOB_ID"
        )


def _check_stored(file: Path, composer: Composer, override: Override) -> None:
    """Refuses an override that would have something run, or looked up, that the project doesn't ship.

    The folder of a run may be a stranger's; what is given on the command line is the user's own word.
    """
    key, line = override.key_or_group, override.input_line
    remedy = f"if you trust it, give {key}=… again beside resume=… (with --config-dir, where it is your own)"
    value = override.value()
    if key.split("/")[0].split(".")[0] == "hydra":
        raise ConfigError(f"{file}: '{line}' is a setting of Hydra itself; {remedy}")
    options = value if isinstance(value, list) else [value]
    of_group = composer.options(key) or "/" in key or override.package is not None
    if of_group and any(".." in Path(str(each)).parts for each in options):
        raise ConfigError(f"{file}: '{line}' takes an option from another folder; {remedy}")
    with parsing(lambda why: ConfigError(f"{file}: '{line}' can't be read ({why}); {remedy}")):
        try:
            check(f"'{line}'", {key.rpartition(".")[2]: value}, shipped(), remedy)
        except CheckpointError as error:
            raise ConfigError(f"{file}: {error}") from None


def _stored_overrides(path: Path) -> list[str]:
    with parsing(lambda why: ConfigError(f"{path}: can't be read ({why}); the run can't be continued")):
        stored = yaml.safe_load(read_text(path, _FEW))
    if not isinstance(stored, list) or not all(isinstance(line, str) for line in stored):
        raise ConfigError(f"{path}: expected a list of overrides; the run can't be continued")
    if any(len(line) > _LONGEST for line in stored):
        raise ConfigError(f"{path}: an override has more than {_LONGEST} characters")
    return stored
