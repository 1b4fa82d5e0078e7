"""Claims and what the records say about them, as plain rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hmseg.claims import Verdict, published, verdict
from hmseg.claims.events import Event
from hmseg.reporting.measurement import Measurement

Row = dict[str, Any]


def claim_rows(measurements: Iterable[Measurement], events: Sequence[Event] = ()) -> list[Row]:
    """A row for each published claim.

    Args:
        measurements: what was measured, checked.
        events: of ``hmseg.reproduce``, which say what is running or has failed.

    Returns:
        Rows of ``id``, ``benchmark``, ``shot``, ``model``, ``masking``, ``backbone``, ``claimed``,
        ``per_fold``, ``fb_iou``, ``measured``, ``measured_per_fold``, ``measured_fb_iou``, ``status``,
        ``reason`` and ``records`` (ids of the records that count).
    """
    records = [dict(one.record) for one in measurements]
    return [_row(verdict(claim, records, events)) for claim in published()]


def _row(found: Verdict) -> Row:
    claim = found.claim
    counting = [record for fold in found.records for record in found.records[fold]]
    return {
        "id": claim.id,
        "benchmark": claim.benchmark,
        "shot": claim.shot,
        "model": claim.model,
        "masking": claim.masking,
        "backbone": claim.backbone,
        "claimed": claim.claimed,
        "per_fold": claim.per_fold,
        "fb_iou": claim.fb_iou,
        "measured": found.miou,
        "measured_per_fold": [found.by_fold.get(fold) for fold in claim.folds] if found.by_fold else [],
        "measured_fb_iou": found.fb_iou,
        "status": found.status,
        "reason": found.note,
        "records": [record["id"] for record in counting] if found.miou is not None else [],
    }
