"""Measured against claimed: what the records on a claim's full protocol add up to, and its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from hmseg.claims.events import FAILED, STARTED, Event, latest
from hmseg.claims.fit import Record, about, why_not
from hmseg.claims.table import Claim

TOLERANCE = 1.0
"""mIoU points by which a result may be off: what seeds of these methods are known to spread over."""
STATUSES = ("unverified", "running", "verified", "differs", "failed")
TOLD = 6
"""Reasons of partial records that a note names."""
_ROUNDING = 1e-9
"""44.3 - 43.3 is not 1 in binary."""


@dataclass(frozen=True)
class Verdict:
    """What is known about a claim.

    Attributes:
        claim: the claim.
        status: one of ``STATUSES``.
        miou: measured mean over folds in percent; None unless every fold is there.
        fb_iou: likewise.
        by_fold: measured mIoU of each fold that is there, the mean over seeds.
        records: that count, by fold; they are of one origin (trained here, or published).
        partial: records of the same subject that do not count, each with the reasons.
        origin: of the checkpoints: ``trained`` or ``published``; None without a record that counts.
        note: what else there is to say, in words.
    """

    claim: Claim
    status: str
    miou: float | None = None
    fb_iou: float | None = None
    by_fold: Mapping[int | None, float] = field(default_factory=dict)
    records: Mapping[int | None, Sequence[Record]] = field(default_factory=dict)
    partial: Sequence[tuple[Record, Sequence[str]]] = ()
    origin: str | None = None
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Measured less claimed, in points of mIoU."""
        return None if self.miou is None else self.miou - self.claim.claimed

    @property
    def missing(self) -> tuple[int | None, ...]:
        """Folds without a record that counts."""
        return tuple(fold for fold in self.claim.folds if fold not in self.by_fold)


def verdict(
    claim: Claim, records: Iterable[Record], events: Iterable[Event] = (), tolerance: float = TOLERANCE
) -> Verdict:
    """Judge one claim.

    ``verified`` and ``differs`` need a record on the claim's full protocol for each of its folds. Several
    seeds of a fold are averaged. Where both trainings of ours and published checkpoints were tested, ours
    count, if they are complete. ``failed`` and ``running`` are what ``hmseg.reproduce`` last noted, as long
    as the result is not complete.

    Args:
        claim: the claim.
        records: of evaluations, of whatever subject.
        events: of ``hmseg.reproduce``.
        tolerance: points of mIoU, not negative.

    Raises:
        ConfigError: the claim's experiment can't be composed.
    """
    counting, partial = _sorted_out(claim, records)
    origin, by_fold = _best_origin(claim, counting)
    mious = {fold: mean(record["miou"] for record in found) for fold, found in by_fold.items()}
    status, said = _running(claim, events)
    whole = Verdict(claim, status, None, None, mious, by_fold, partial, origin)
    if whole.missing:
        return _noted(whole, _incomplete(whole, said))
    miou = mean(mious.values())
    fb_iou = mean(mean(record["fb_iou"] for record in found) for found in by_fold.values())
    status = "verified" if abs(miou - claim.claimed) <= tolerance + _ROUNDING else "differs"
    others = [_in_words(each, found) for each, found in counting.items() if each != origin]
    done = Verdict(claim, status, miou, fb_iou, mious, by_fold, partial, origin)
    return _noted(done, "; ".join(others))


def _sorted_out(
    claim: Claim, records: Iterable[Record]
) -> tuple[dict[str, dict[int | None, list[Record]]], list[tuple[Record, list[str]]]]:
    """Records that count, by origin and fold, and those that don't, with the reasons.

    One of each checkpoint, the last: the same file tested twice is no second seed.
    """
    counting: dict[str, dict[int | None, dict[str, Record]]] = {}
    partial: list[tuple[Record, list[str]]] = []
    for record in records:
        if not about(claim, record):
            continue
        if reasons := why_not(claim, record):
            partial.append((record, reasons))
            continue
        checkpoint = record["checkpoint"]
        origin = "trained" if checkpoint["origin"] == "trained" else "published"
        by_file = counting.setdefault(origin, {}).setdefault(record["test"]["fold"], {})
        by_file[checkpoint["sha256"]] = record
    ordered = {
        origin: {fold: list(folds[fold].values()) for fold in claim.folds if fold in folds}
        for origin, folds in counting.items()
    }
    return ordered, partial


def _best_origin(
    claim: Claim, counting: Mapping[str, Mapping[int | None, list[Record]]]
) -> tuple[str | None, Mapping[int | None, list[Record]]]:
    """Trainings of ours before published checkpoints, what is complete before what is not."""
    order = sorted(counting, key=lambda origin: (-len(counting[origin]), origin != "trained"))
    return (order[0], counting[order[0]]) if order else (None, {})


def _running(claim: Claim, events: Iterable[Event]) -> tuple[str, str]:
    """``failed``, ``running`` or ``unverified``, and the event that says so."""
    last = latest(events, claim.id).values()
    for kind, status in ((FAILED, "failed"), (STARTED, "running")):
        for event in last:
            if event["event"] == kind:
                return status, _event_in_words(event, status)
    return "unverified", ""


def _event_in_words(event: Event, status: str) -> str:
    fold = "" if event.get("fold") is None else f" of fold {event['fold']}"
    what = f"{event.get('step', 'a step')}{fold} {status}"
    reason = f": {event['reason']}" if event.get("reason") else f" since {event.get('date', 'some time')}"
    return what + reason


def _incomplete(whole: Verdict, said: str) -> str:
    parts = [said] if said else []
    if whole.by_fold:
        missing = ", ".join(str(fold) for fold in whole.missing)
        parts.append(f"fold{'s' if len(whole.missing) > 1 else ''} {missing} missing")
    return "; ".join(parts)


def _noted(verdict: Verdict, note: str) -> Verdict:
    """With the reasons why partial records don't count, the most frequent first."""
    parts = [note] if note else []
    if verdict.partial:
        count = Counter(reason for _, reasons in verdict.partial for reason in reasons)
        reasons = "; ".join(reason for reason, _ in count.most_common(TOLD))
        if len(count) > TOLD:
            reasons += f"; and {len(count) - TOLD} more"
        many = len(verdict.partial)
        parts.append(f"{many} record{'s do' if many > 1 else ' does'} not count: {reasons}")
    return Verdict(**{**vars(verdict), "note": "; ".join(parts)})


def _in_words(origin: str, found: Mapping[Any, Sequence[Record]]) -> str:
    """A result that does not count because another one does."""
    value = mean(mean(record["miou"] for record in records) for records in found.values())
    whose = "published checkpoints" if origin == "published" else "trainings of ours"
    return f"{whose}: {value:.2f} on {len(found)} fold{'s' if len(found) > 1 else ''}"
