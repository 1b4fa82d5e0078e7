"""The frame of every entry point: same syntax and help, mistakes in one line before the heavy imports.

An entry point is a :class:`Program`: the name of its configuration, its task, and what is done with the
overrides before they are composed. Exit codes: 0 done, 1 the task met an error that is the user's to mend,
2 the configuration is wrong, 130 interrupted, 143 stopped by SIGTERM (another signal: 128 and its number).
"""

from __future__ import annotations

import argparse
import errno
import functools
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hmseg.allocator import keep_freed_memory
from hmseg.checkpoint_files import RESUMED
from hmseg.config.checks import check
from hmseg.config.composer import Composer, conf_dir
from hmseg.config.folders import output_folder
from hmseg.config.helptext import help_page
from hmseg.config.runs import readable
from hmseg.config.stored import offer_placeholders, withdraw
from hmseg.config.sweep import configurations
from hmseg.errors import ConfigError, HmsegError
from hmseg.files import owned
from hmseg.interruption import Terminated, is_first, requeue, stopping
from hmseg.sweeps.ending import conclude
from hmseg.sweeps.launcher import Sweep

LOCK = ".lock"
"""In a run folder: who has it."""
_TRACEBACKS = "HMSEG_FULL_ERROR"
"""``HYDRA_FULL_ERROR`` before this program set it for itself; processes that it starts inherit it."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Prepare = Callable[[Composer, Sequence[str]], list[str]]


def as_given(composer: Composer, overrides: Sequence[str]) -> list[str]:
    """No preparation: the overrides as they are."""
    return list(overrides)


@dataclass(frozen=True)
class Program:
    """An entry point.

    Attributes:
        config_name: of the YAML file in ``conf/``.
        task: gets the composed configuration; a module-level function, for launchers to send elsewhere.
        purpose: one line for the help.
        examples: settings for the help.
        prepare: changes the overrides before they are composed, for instance to continue a run.
        done_once: in a sweep, is what one configuration gave good for ever, so that it needn't be done again?
    """

    config_name: str
    task: Callable[[DictConfig], object]
    purpose: str
    examples: tuple[str, ...] = ()
    prepare: Prepare = as_given
    done_once: bool = False

    @property
    def typed_name(self) -> str:
        """How the program is called, for help and messages."""
        return f"python -m hmseg.{self.config_name}"


class _Job(NamedTuple):
    """A task that was started; noted, because Hydra forgets it when the task fails."""

    folder: str
    requeue: bool


def entry(program: Program, argv: Sequence[str] | None = None) -> None:
    """Run an entry point on the command line's words.

    Args:
        program: what to run.
        argv: the words after the program's name; ``sys.argv[1:]`` by default.

    Raises:
        SystemExit: with the codes above, unless the task ends well.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    before = os.environ.get("HYDRA_FULL_ERROR", "0")
    os.environ.setdefault(_TRACEBACKS, before)
    try:
        final = _validated(program, words)
        if final is not None:
            with _owning(final.folder):
                _run(program, final.words)
    except HmsegError as error:
        _stop(str(error), 2)
    except KeyboardInterrupt:
        _stop("interrupted", 130)
    finally:
        withdraw()
        os.environ.pop(_TRACEBACKS, None)
        os.environ["HYDRA_FULL_ERROR"] = before


class _Words(NamedTuple):
    """The words for Hydra, and the folder that the run or sweep writes to; None where it has none."""

    words: list[str]
    folder: Path | None


def _validated(program: Program, words: list[str]) -> _Words | None:
    """The words, checked, with the name of a folder of the run's own; None when the help was printed."""
    args, flags, overrides = _parse(words)
    if args.hydra_help or args.shell_completion:
        return _Words(words, None)
    with Composer(args.config_path, args.config_dir) as composer:
        if args.help:
            offer_placeholders()
            cfg = composer.compose(program.config_name)
            name, purpose = program.typed_name, program.purpose
            print(help_page(composer, cfg, program.config_name, name, purpose, program.examples))
            return None
        overrides = program.prepare(composer, [readable(composer, word) for word in overrides])
        name = args.config_name or program.config_name
        for cfg in configurations(composer, name, overrides, args.multirun):
            check(cfg)
        final = [*flags, *overrides]
        if not is_first() or _only_shows(args):  # the first process has the folder for all of a run
            return _Words(final, None)
        folder = output_folder(composer, name, overrides, args.multirun)
        if folder is None:
            return _Words(final, None)
        folder = folder.taken()
    return _Words([*final, folder.override], folder.path)


def _only_shows(args: argparse.Namespace) -> bool:
    """Does Hydra print the configuration, or something of itself, and end?"""
    return bool(args.cfg or args.info)


def _owning(folder: Path | None) -> AbstractContextManager[None]:
    """A folder that no other run or sweep writes to; None: nothing."""
    return nullcontext() if folder is None else owned(folder / LOCK, str(folder))


def _parse(words: Sequence[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """The flags, as understood and as typed, and the settings, which may stand anywhere between them."""
    parser = get_args_parser()
    parser.error = _usage  # type: ignore[method-assign]
    args, rest = parser.parse_known_args(list(words))
    for word in rest:
        if word.startswith("-"):
            name = word.lstrip("-").split("=")[0]
            raise ConfigError(
                f"unknown flag '{word}': settings are written without dashes, {name}=value; see --help"
            )
    if args.experimental_rerun is not None:
        raise ConfigError(
            "--experimental-rerun reads a pickle, which can run code; continue a run with resume=…"
        )
    settings = {*args.overrides, *rest}
    flags = [word for word in words if word not in settings]
    if args.config_path is not None:  # relative to the shell's folder here, to the program's file for Hydra
        flags = [os.path.abspath(word) if word == args.config_path else word for word in flags]
        args.config_path = os.path.abspath(args.config_path)
    return args, flags, [word for word in words if word in settings]


def _usage(message: str) -> NoReturn:
    raise ConfigError(f"{message}; see --help")


def _run(program: Program, words: list[str]) -> None:
    """Hand over to Hydra: run folders, multirun and launchers are its work."""
    before = sys.argv
    sys.argv = [before[0], *words]  # Hydra and Lightning's process launcher read it
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints a task's exception itself and cuts its traceback
    GlobalHydra.instance().clear()
    task = _Task(program, _job_flags(words))
    started = task.started
    try:
        main = hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=program.config_name)
        with stopping():
            main(task)()
        if failed := conclude(task.sweep):
            _stop_lines(failed, 1)
    except (HmsegError, InstantiationException) as error:
        _stop(_message(error), 1 if started or task.sweep.outcomes else 2)
    except Terminated as error:
        _terminated(program, task, error)
    except (HydraException, OmegaConfBaseException, OSError, ValueError) as error:
        if full := _no_room(error):
            _stop(f"{full}{_continuation(program, task)}", 1)
        if started:
            raise
        _stop(str(error).split("\n", 1)[0], 2)  # Hydra's own, such as a run folder that can't be written
    except KeyboardInterrupt:
        _interrupted(program, task)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # Lightning turns one into the other
            _interrupted(program, task)
        raise
    finally:
        sys.argv = before


def _job_flags(words: Sequence[str]) -> tuple[str, ...]:
    """The flags that each job of a sweep needs as well: where configurations are."""
    args, _, _ = _parse(words)
    found = (("--config-path", args.config_path), ("--config-name", args.config_name))
    folder = None if args.config_dir is None else os.path.abspath(args.config_dir)
    return tuple(
        word for flag, value in (*found, ("--config-dir", folder)) if value for word in (flag, value)
    )


class _Task:
    """What Hydra and its launchers call: the program's task, its mendable errors in one line.

    Attributes:
        started: the jobs begun in this process; Hydra forgets a run's folder when its task fails.
        sweep: what launchers need to know of the program, and where they note how jobs end.
    """

    def __init__(self, program: Program, flags: tuple[str, ...]) -> None:
        functools.update_wrapper(self, program.task)  # Hydra looks for the module of a task
        self.program, self.started = program, list[_Job]()
        self.sweep = Sweep(program.config_name, flags, program.done_once)

    def __call__(self, cfg: DictConfig) -> object:
        run = HydraConfig.get()
        keep_freed_memory()
        self.started.append(_Job(run.runtime.output_dir, bool(cfg.get("requeue", False))))
        own = Path(run.runtime.output_dir) if run.mode == RunMode.MULTIRUN and is_first() else None
        try:
            with _owning(own):  # of a run alone this process has it already
                return self.program.task(cfg)
        except (HmsegError, InstantiationException) as error:
            message = _message(error)
            if run.mode == RunMode.MULTIRUN:
                raise HmsegError(message) from error  # the sweep goes on with the next job
            _stop(message, 1)
        except OSError as error:
            full = _no_room(error)
            if full is None:
                raise
            if run.mode == RunMode.MULTIRUN:
                raise HmsegError(full) from error
            _stop(f"{full}{_continuation(self.program, self)}", 1)


def _no_room(error: Exception) -> str | None:
    """The message of a full disk, None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
        return None
    return f"{error.filename or 'a file'} can't be written ({error.strerror}): make room on that disk"


def _message(error: Exception) -> str:
    """What the user can mend; any other error is raised again, to keep its traceback."""
    message = _not_built(error) if isinstance(error, InstantiationException) else str(error)
    if message is None:
        raise error
    return message


def _not_built(error: InstantiationException) -> str | None:
    """The message where a ``_target_`` can't be built through a fault of the configuration, else None."""
    cause = error.__cause__
    if isinstance(cause, HmsegError):
        return str(cause)
    key = str(error).rpartition("full_key: ")[2]
    if str(error).startswith("Error locating target"):
        return f"{key}: {str(error).splitlines()[0].split(', set env')[0]}: {cause}"
    raised_by_call_itself = (
        cause is not None and cause.__traceback__ is not None and not cause.__traceback__.tb_next
    )
    if isinstance(cause, TypeError) and raised_by_call_itself:
        return f"{key}: {cause}"
    return None


def _terminated(program: Program, task: _Task, error: Terminated) -> NoReturn:
    """Go, after putting the job back into SLURM's queue."""
    if error.quiet:
        raise SystemExit(error.code) from None
    queued = requeue() if task.started and task.started[-1].requeue else ""
    _stop(f"{error}{f', {queued}' if queued else ''}{_continuation(program, task)}", error.code)


def _interrupted(program: Program, task: _Task) -> NoReturn:
    _stop(f"interrupted{_continuation(program, task)}", 130)


def _continuation(program: Program, task: _Task) -> str:
    """How to go on: a sweep by its command, a run where it left a checkpoint; else nothing."""
    if task.sweep.folder != Path():
        again = "; the same command leaves out what is finished and goes on with the rest"
        return again if program.done_once else ""
    folder = Path(task.started[-1].folder) if task.started else None
    if folder is None or not any((folder / "checkpoints" / name).is_file() for name in RESUMED):
        return ""
    return f"; continue with: {program.typed_name} resume={shlex.quote(str(folder))}"


def _stop(message: str, code: int) -> NoReturn:
    if code < 128 and os.environ.get(_TRACEBACKS) == "1":
        traceback.print_exc()  # of the error that the message is of, and of what caused it
    _stop_lines(" ".join(message.split()), code)


def _stop_lines(text: str, code: int) -> NoReturn:
    print(text if code >= 128 else f"error: {text}", file=sys.stderr)
    raise SystemExit(code)
