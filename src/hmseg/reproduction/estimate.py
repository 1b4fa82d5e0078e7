"""How long the steps of a plan may take, from measured throughput."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from hmseg.claims import Claim, protocol_of, training_episodes
from hmseg.claims.fit import Record
from hmseg.claims.fit_training import episodes_of_a_step
from hmseg.claims.nodes import get, target
from hmseg.reproduction.plan import Request, Step

EPOCHS_TO_BEST: Mapping[tuple[str, str, str], tuple[int, int]] = {
    ("hsnet", "resnet50", "pascal"): (306, 102),
    ("hsnet", "resnet50", "coco"): (242, 35),
    ("hsnet", "resnet101", "pascal"): (174, 68),
    ("hsnet", "resnet101", "coco"): (297, 27),
}
"""Published epochs to the best model with feature and with hybrid masking, mean over folds (REFERENCE 8)."""


class Speed(NamedTuple):
    """Seconds of an episode.

    Attributes:
        train: of a training episode, what belongs to it included; None where it isn't known.
        test: of a test episode for each of its supports; None where it isn't known.
        validated: does ``train`` include the validations?
        source: where the numbers come from, in words.
    """

    train: float | None
    test: float | None
    validated: bool
    source: str


class Duration(NamedTuple):
    """Seconds of a step: at most, and until the best model of a training as published; infinite: unknown."""

    most: float
    likely: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What a plan may take.

    Attributes:
        steps: a duration for each step; None for one that is skipped.
        source: how it was found, in words.
        epochs: of each training: at most, and published until the best model, if known.
    """

    steps: Sequence[Duration | None]
    source: str
    epochs: tuple[int | None, int | None]


def estimate(request: Request, steps: Sequence[Step], records: Iterable[Record]) -> Estimate:
    """Durations of the steps of a plan.

    From records of the same network at the same image size on the same hardware where there are some; else
    from a measurement of this machine, made now, if the request allows it and a step needs it.
    """
    claim, config = request.claim, request.training
    assert claim is not None
    epochs = (_epochs(config), epochs_to_best(claim))
    waiting = any(step.state != "skip" for step in steps)
    speed = speed_now(request, records) if waiting else Speed(None, None, False, "nothing is left to do")
    return Estimate([_duration(claim, config, step, speed) for step in steps], speed.source, epochs)


def speed_now(request: Request, records: Iterable[Record]) -> Speed:
    """The best knowledge there is of this machine's speed."""
    from hmseg import environment

    claim = request.claim
    assert claim is not None
    known = speed_from(claim, request.training, records, environment.hardware())
    if known.train is not None and known.test is not None:
        return known
    if not request.measure:
        found = known.source if known.train or known.test else "no record tells, and measure=false"
        return known._replace(source=found)
    from hmseg.reproduction.measure import measure

    now = measure(request.training_words)
    source = (
        f"measured now on {now.device}, random weights, one episode at a time, without reading images: "
        f"{now.step:.3g} s a training episode, {now.forward:.3g} s a test"
    )
    if known.test is not None:
        source += f"; tests: {known.source}"
    return Speed(now.step, now.forward if known.test is None else known.test, False, source)


def speed_from(
    claim: Claim, config: Mapping[str, Any], records: Iterable[Record], hardware: Mapping[str, Any]
) -> Speed:
    """What records tell: of the same network and image size, on the same GPU, or the same CPU and threads.

    Args:
        claim: whose network.
        config: of its training.
        records: of evaluations.
        hardware: of this machine, as of ``hmseg.environment``.
    """
    trained: dict[Any, float] = {}  # by run: its best and its last checkpoint are one training
    tested: list[float] = []
    for record in records:
        stored = (record.get("training") or {}).get("config") or {}
        if not _alike(record.get("config") or {}, config) or not _same(record.get("hardware"), hardware):
            continue
        if record.get("kept_maps") or record.get("resumed"):
            continue  # its seconds are those of less work
        supports = record.get("episodes", 0) * (get(record, "test.shot") or 0)
        if record.get("seconds") and supports and get(record, "test.original_size") is False:
            tested.append(record["seconds"] / supports)
        training, batch = record.get("training") or {}, episodes_of_a_step(stored) if stored else None
        alike = _alike(stored, config) and batch
        if alike and training.get("seconds") and training.get("step"):
            trained[record.get("run")] = training["seconds"] / training["step"] / batch
    parts = [f"{len(trained)} training{'s' if len(trained) != 1 else ''}"] if trained else []
    parts += [f"{len(tested)} test{'s' if len(tested) != 1 else ''}"] if tested else []
    source = f"records of {' and '.join(parts)} on this hardware" if parts else "no record tells"
    middle = [median(found) if found else None for found in (trained.values(), tested)]
    return Speed(middle[0], middle[1], True, source)


def _alike(ours: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    same = all(target(ours, part) == target(config, part) for part in ("model", "masking"))
    keys = ("backbone.name", "dataset.image_size", "model.side")
    return same and all(get(ours, key) == get(config, key) for key in keys)


def _same(theirs: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> bool:
    keys = ("gpu",) if ours.get("gpu") else ("gpu", "cpu", "threads")
    return theirs is not None and all(theirs.get(key) == ours.get(key) for key in keys)


def _duration(claim: Claim, config: Mapping[str, Any], step: Step, speed: Speed) -> Duration | None:
    if step.state == "skip":
        return None
    if step.kind == "import":
        return Duration(0.0)  # seconds
    if step.kind == "evaluate":
        if speed.test is None:
            return Duration(math.inf)
        return Duration(speed.test * protocol_of(claim).episodes * claim.shot)
    whole, best = _epochs(config), epochs_to_best(claim)
    one, done = epoch_seconds(claim, config, step.fold, speed), step.epochs_done
    most = min(_max_time(config), math.inf if whole is None else max(0, whole - done) * one)
    return Duration(most, None if best is None or one == math.inf else min(max(0, best - done) * one, most))


def epoch_seconds(claim: Claim, config: Mapping[str, Any], fold: int | None, speed: Speed) -> float:
    """Seconds of an epoch of training and its validation; infinite where they aren't known."""
    stated = get(config, "loader.train_episodes")
    episodes = training_episodes(claim, fold) if stated is None else stated
    if speed.train is None or episodes is None:
        return math.inf
    seconds = float(speed.train * episodes)
    if speed.validated:
        return seconds
    if speed.test is None:
        return math.inf
    return seconds + float(speed.test * (get(config, "loader.val_episodes") or protocol_of(claim).episodes))


def epochs_to_best(claim: Claim) -> int | None:
    """Published epochs until the best model, mean over folds; None where they weren't published.

    Example:
        >>> from hmseg.claims import find_claim, published
        >>> epochs_to_best(find_claim("coco/5shot/hsnet/hybrid/resnet50", published()))
        35
    """
    trained_on = claim.benchmark.removesuffix("2pascal")
    known = EPOCHS_TO_BEST.get((claim.model, claim.backbone, trained_on))
    if known is None or claim.masking not in ("feature", "hybrid"):
        return None
    return known[claim.masking == "hybrid"]


def _epochs(config: Mapping[str, Any]) -> int | None:
    most = get(config, "trainer.max_epochs")
    return most if isinstance(most, int) and most > 0 else None


def _max_time(config: Mapping[str, Any]) -> float:
    """Seconds that a training may last, infinite without a limit."""
    text = get(config, "trainer.max_time")
    if not text:
        return math.inf
    days, hours, minutes, seconds = (int(part) for part in str(text).split(":"))
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
