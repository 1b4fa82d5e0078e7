"""The steps that a claim needs, and which of them are done already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from hmseg.checkpoint_files import LAST, PREVIOUS
from hmseg.claims import Claim, about, run_folder, why_not
from hmseg.claims.commands import evaluate_words, import_words, train_words
from hmseg.claims.events import FINISHED, Event
from hmseg.claims.fit import Record
from hmseg.claims.ledger import EVENTS, LEDGER, RECORDS
from hmseg.config import compose_plain
from hmseg.config.runs import RUN_FILE
from hmseg.errors import HmsegError
from hmseg.files import sha256

DEFAULT_RESULTS = "results"

State = Literal["run", "resume", "skip"]


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        claims: all that there are.
        claim: the one to verify; None: only the ledger.
        own: name of a file of claims of one's own; None for the published ones.
        show_all: only show them.
        dry_run: only show the plan.
        measure: may estimates measure this machine?
        checkpoints: published ones by fold; empty: train.
        train: further settings of each training.
        evaluate: further settings of each evaluation.
        tolerance: points of mIoU.
        runs: folder of the trainings.
        results: folder of records, ledger and events.
    """

    claims: Sequence[Claim]
    claim: Claim | None = None
    own: str | None = None
    show_all: bool = False
    dry_run: bool = False
    measure: bool = True
    checkpoints: Mapping[int | None, Path] = field(default_factory=dict)
    train: Sequence[str] = ()
    evaluate: Sequence[str] = ()
    tolerance: float = 1.0
    runs: str = "outputs/claims"
    results: str = DEFAULT_RESULTS

    @property
    def records(self) -> Path:
        """Where evaluations append their records."""
        return Path(self.results).expanduser() / RECORDS

    @property
    def events(self) -> Path:
        """Where this program notes what it does."""
        return Path(self.results).expanduser() / EVENTS

    @property
    def ledger(self) -> Path:
        """The ledger; claims of one's own have another one than the published ones."""
        name = LEDGER if self.own is None else f"{self.own}.ledger.csv"
        return Path(self.results).expanduser() / name

    @property
    def place(self) -> list[str]:
        """The setting that has evaluations append to these records, where it isn't their own choice."""
        return [] if self.results == DEFAULT_RESULTS else [f"paths.records={self.records}"]

    @property
    def training_words(self) -> list[str]:
        """The settings of a training of the first fold, without its place."""
        assert self.claim is not None
        fold = self.claim.folds[0]
        words = [f"experiment={self.claim.training}", f"fold={'null' if fold is None else fold}"]
        return [*words, *(word for word in self.train if not word.startswith("hydra"))]

    @cached_property
    def training(self) -> dict[str, Any]:
        """The configuration of a training with the further settings.

        Raises:
            ConfigError: one of the settings is wrong.
        """
        return compose_plain(*self.training_words)


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        kind: ``train``, ``import`` or ``evaluate``.
        fold: of the claim.
        program: of hmseg.
        words: its settings.
        state: ``run``, ``resume`` (a training that was stopped) or ``skip``.
        why: in words, where it is not simply to be run.
    """

    kind: str
    fold: int | None
    program: str
    words: tuple[str, ...]
    state: State
    why: str = ""

    @property
    def epochs_done(self) -> int:
        """Of a training to be resumed; 0 where its checkpoint can't be read."""
        if self.state != "resume":
            return 0
        from hmseg.run_checkpoints import read_checkpoint

        folder = Path(self.words[0].removeprefix("resume=")).expanduser()
        try:
            epoch = read_checkpoint(folder / "checkpoints" / "last.ckpt").get("epoch")
        except HmsegError:
            return 0
        return epoch if isinstance(epoch, int) else 0


def first_step(request: Request, fold: int | None) -> Step:
    """Where a fold's checkpoint comes from: a training, or a published file."""
    return import_step(request, fold) if request.checkpoints else train_step(request, fold)


def train_step(request: Request, fold: int | None) -> Step:
    """The training of a fold: skipped where it came to its end, resumed where it left a checkpoint."""
    assert request.claim is not None
    folder = run_folder(request.claim, fold, request.runs)
    extra = (*request.train, *request.place)
    anew = (*train_words(request.claim, fold, request.runs), *extra)
    if ended := _ended(Path(folder).expanduser()):
        return Step("train", fold, "train", anew, "skip", f"trained already, {ended} epochs: {folder}")
    checkpoints = Path(folder).expanduser() / "checkpoints"
    if any((checkpoints / name).is_file() for name in (LAST, PREVIOUS)):
        return Step("train", fold, "train", (f"resume={folder}", *extra), "resume", f"goes on in {folder}")
    return Step("train", fold, "train", anew, "run")


def _ended(folder: Path) -> str | None:
    """How many epochs a training has come to its end after; None where it has not."""
    try:
        found = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(found.get("epochs", "?")) if isinstance(found, dict) and found.get("run") else None


def import_step(request: Request, fold: int | None) -> Step:
    """The import of a fold's published checkpoint; its name holds the file's digest, so it is made once."""
    assert request.claim is not None
    source, out = request.checkpoints[fold], imported(request, fold)
    words = tuple(import_words(request.claim, fold, str(source), out))
    if Path(out).expanduser().is_file():
        return Step("import", fold, "convert", words, "skip", f"imported already: {out}")
    return Step("import", fold, "convert", words, "run")


def imported(request: Request, fold: int | None) -> str:
    """The checkpoint that a published file is made into."""
    assert request.claim is not None
    name = "published" if fold is None else f"fold{fold}"
    folder = PurePosixPath(request.runs) / request.claim.training / "published"
    return str(folder / f"{name}-{sha256(request.checkpoints[fold])[:12]}.ckpt")


def evaluate_step(
    request: Request, fold: int | None, records: Sequence[Record], events: Sequence[Event]
) -> Step:
    """The evaluation of a fold: skipped where a record of that very checkpoint is there.

    The record must be on the claim's full protocol, or this program must have finished the same command on
    the same file before (further settings may make a record that never counts; it is not made twice).
    """
    claim = request.claim
    assert claim is not None
    target = imported(request, fold) if request.checkpoints else run_folder(claim, fold, request.runs)
    words = (*evaluate_words(claim, target), *request.evaluate, *request.place)
    file = checkpoint_file(request, fold)
    if not file.is_file():
        return Step("evaluate", fold, "evaluate", words, "run")
    content = sha256(file)
    for record in records:
        mine = about(claim, record) and record["checkpoint"].get("sha256") == content
        if mine and record["test"]["fold"] == fold and not why_not(claim, record):
            return Step("evaluate", fold, "evaluate", words, "skip", f"recorded: mIoU {record['miou']:.2f}")
    done = {"claim": claim.id, "event": FINISHED, "checkpoint": content, "settings": list(words)}
    if any(all(event.get(key) == value for key, value in done.items()) for event in events):
        return Step("evaluate", fold, "evaluate", words, "skip", "done before, by the same command")
    return Step("evaluate", fold, "evaluate", words, "run")


def checkpoint_file(request: Request, fold: int | None) -> Path:
    """The file that an evaluation of a fold reads."""
    assert request.claim is not None
    if request.checkpoints:
        return Path(imported(request, fold)).expanduser()
    folder = Path(run_folder(request.claim, fold, request.runs)).expanduser()
    return folder / "checkpoints" / "best.ckpt"
