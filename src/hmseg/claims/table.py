"""The published results that this project sets out to verify, and where each comes from."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hmseg.errors import ConfigError, DataError
from hmseg.untrusted import parsing, read_bytes

ASSETS = Path(__file__).resolve().parents[1] / "assets"
BENCHMARKS: Mapping[str, int] = {"pascal": 4, "coco": 4, "coco2pascal": 4, "fss": 0}
"""Folds of each published benchmark; 0 for none."""
_MOST_FOLDS = 1000
COLUMNS = ("benchmark", "shot", "model", "masking", "backbone", "claimed", "per_fold", "fb_iou", "source")
"""Of a file of claims; a user's own needs ``experiment`` too, and may have ``folds``."""


@dataclass(frozen=True)
class Claim:
    """One number of a paper, or of a file of one's own.

    Attributes:
        benchmark: name of the data set that is tested on.
        shot: supports of each test episode.
        model: option of ``model``.
        masking: option of ``masking``.
        backbone: option of ``backbone``.
        claimed: mIoU in percent, mean over folds.
        per_fold: mIoU of each fold in percent; empty where it was not published.
        fb_iou: foreground-background IoU in percent; None where it was not published.
        source: the paper.
        experiment: option of ``experiment`` that trains and tests it.
        training: the experiment whose training it shares; the same one but for COCO -> PASCAL, which tests
            the models of COCO-20i.
        folds: all of them, (None,) for a benchmark without folds.
    """

    benchmark: str
    shot: int
    model: str
    masking: str
    backbone: str
    claimed: float
    per_fold: tuple[float, ...]
    fb_iou: float | None
    source: str
    experiment: str
    training: str
    folds: tuple[int | None, ...]

    @property
    def id(self) -> str:
        """``benchmark/{shot}shot/model/masking/backbone``."""
        return f"{self.benchmark}/{self.shot}shot/{self.model}/{self.masking}/{self.backbone}"


@cache
def published() -> tuple[Claim, ...]:
    """The 64 results of REFERENCE section 14, in its order.

    Example:
        >>> claim = published()[0]
        >>> claim.id, claim.claimed, claim.per_fold, claim.experiment
        ('coco/1shot/hsnet/hybrid/resnet50', 44.3, (41.0, 45.7, 46.9, 43.7), 'hsnet_hm_coco_resnet50')
    """
    return read_claims(ASSETS / "claims.csv")


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a CSV file.

    Args:
        path: with the columns of ``COLUMNS``. The column ``experiment`` names each one's experiment; without
            it the experiments are those of the published configurations. ``folds`` (a number, 0 for none)
            is needed for a benchmark that isn't a published one.

    Raises:
        DataError: the file can't be read, or a row is not a claim.
    """
    with parsing(lambda why: DataError(f"claims {path} can't be read ({why}): give a CSV file")):
        reader = csv.DictReader(io.StringIO(read_bytes(path).decode(), newline=""))
        columns, rows = reader.fieldnames or (), list(reader)
    if absent := [name for name in COLUMNS if name not in columns]:
        raise DataError(f"claims {path}: the column {absent[0]} is missing (expected: {', '.join(COLUMNS)})")
    claims = []
    for line, row in enumerate(rows, start=2):
        with parsing(lambda why, line=line: DataError(f"claims {path}, line {line}: {why}")):  # type: ignore[misc]
            claims.append(_claim(row))
    if twice := _first_double(claim.id for claim in claims):
        raise DataError(f"claims {path}: {twice} stands there twice; one line for each claim")
    return tuple(claims)


def _claim(row: Mapping[str, str]) -> Claim:
    benchmark, model, masking, backbone = (
        _word(row, name) for name in ("benchmark", "model", "masking", "backbone")
    )
    folds = row.get("folds") or BENCHMARKS.get(benchmark)
    if folds is None:
        raise ValueError(f"benchmark {benchmark} is not a published one: give its number of folds")
    own = row.get("experiment")
    experiment = own or published_experiment(benchmark, model, masking, backbone)
    per_fold = tuple(float(word) for word in (row["per_fold"] or "").split())
    count = int(folds)
    if not 0 <= count <= _MOST_FOLDS:
        raise ValueError(f"folds: expected 0 to {_MOST_FOLDS}, got {count}")
    if per_fold and len(per_fold) != count:
        raise ValueError(f"per_fold has {len(per_fold)} values, {benchmark} has {count} folds")
    shot = int(row["shot"])
    if shot < 1:
        raise ValueError(f"shot: expected at least 1, got {shot}")
    return Claim(
        benchmark,
        shot,
        model,
        masking,
        backbone,
        float(row["claimed"]),
        per_fold,
        float(row["fb_iou"]) if row["fb_iou"] else None,
        row["source"],
        experiment,
        own or experiment.replace("coco2pascal", "coco"),
        tuple(range(count)) if count else (None,),
    )


def _word(row: Mapping[str, str], name: str) -> str:
    """A name that may stand in an id and in a command line."""
    word = row[name] or ""
    if not word.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"{name}: expected a name of letters, digits and _, got '{word}'")
    return word


def published_experiment(benchmark: str, model: str, masking: str, backbone: str) -> str:
    """The option of ``experiment`` for a published configuration.

    Example:
        >>> published_experiment("pascal", "asnet", "none", "vgg16")
        'asnet_pascal_vgg16'
    """
    hybrid = ("hm",) if masking == "hybrid" else ()
    return "_".join((model, *hybrid, benchmark, backbone))


def find_claim(name: str, claims: Iterable[Claim]) -> Claim:
    """The claim of an id.

    Raises:
        ConfigError: there is none; the nearest ids are named.

    Example:
        >>> find_claim("coco/1shot/hsnet/hybird/resnet50", published()[:1])
        Traceback (most recent call last):
        hmseg.errors.ConfigError: unknown claim 'coco/1shot/hsnet/hybird/resnet50': did you mean ...
    """
    by_id = {claim.id: claim for claim in claims}
    if name in by_id:
        return by_id[name]
    close = difflib.get_close_matches(name, by_id, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(close)}?" if close else "ids are benchmark/1shot/model/masking/backbone;"
    )
    raise ConfigError(f"unknown claim '{name}': {hint} list=true shows all {len(by_id)}")


def _first_double(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
