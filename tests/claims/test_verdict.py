"""From records to a status."""

from __future__ import annotations

import pytest

from hmseg.claims import find_claim, published, verdict
from made_records import made_record

CLAIM = find_claim("coco/1shot/hsnet/hybrid/resnet50", published())  # claimed 44.3
FSS = find_claim("fss/5shot/vat/hybrid/resnet101", published())  # claimed 90.5, no folds


def folds(*mious: float, **changes: object) -> list[dict[str, object]]:
    return [made_record(CLAIM, fold, miou, **changes) for fold, miou in enumerate(mious)]


@pytest.mark.parametrize(
    ("mious", "status"),
    [
        ((41.0, 45.7, 46.9, 43.7), "verified"),
        ((43.3, 43.3, 43.3, 43.3), "verified"),  # one point below, which is within the tolerance
        ((45.3, 45.3, 45.3, 45.3), "verified"),
        ((43.2, 43.3, 43.3, 43.3), "differs"),
        ((50.0, 50.0, 50.0, 50.0), "differs"),  # better is not the same, either
    ],
)
def test_the_mean_over_folds_decides(mious: tuple[float, ...], status: str) -> None:
    found = verdict(CLAIM, folds(*mious))
    assert (found.status, found.missing, found.origin) == (status, (), "trained")
    assert found.miou == pytest.approx(sum(mious) / 4) and found.fb_iou == 70.0
    assert found.difference == pytest.approx(sum(mious) / 4 - 44.3)


def test_the_tolerance_is_a_parameter() -> None:
    records = folds(43.0, 43.0, 43.0, 43.0)
    assert verdict(CLAIM, records, tolerance=1.0).status == "differs"
    assert verdict(CLAIM, records, tolerance=1.3).status == "verified"


def test_without_a_record_nothing_is_known() -> None:
    found = verdict(CLAIM, [])
    assert (found.status, found.miou, found.note) == ("unverified", None, "")


def test_every_fold_must_be_there() -> None:
    found = verdict(CLAIM, folds(41.0, 45.7, 46.9))
    assert (found.status, found.miou, found.missing) == ("unverified", None, (3,))
    assert found.by_fold == {0: 41.0, 1: 45.7, 2: 46.9} and found.note == "fold 3 missing"


def test_seeds_of_a_fold_are_averaged_and_a_file_counts_once() -> None:
    records = folds(44.3, 44.3, 44.3, 44.3)
    again = made_record(CLAIM, 0, 60.0)  # the same checkpoint, tested anew
    second = made_record(CLAIM, 0, 40.0, seed=1)
    found = verdict(CLAIM, [*records, again, second])
    assert found.by_fold[0] == 50.0 and len(found.records[0]) == 2


def test_no_folds_need_one_record() -> None:
    assert verdict(FSS, []).missing == (None,)
    found = verdict(FSS, [made_record(FSS, None, 90.0)])
    assert (found.status, found.miou) == ("verified", 90.0)


def test_records_of_other_claims_do_not_count() -> None:
    five = find_claim("coco/5shot/hsnet/hybrid/resnet50", published())
    other = find_claim("coco/1shot/hsnet/feature/resnet50", published())
    for claim in (five, other):
        records = [made_record(claim, fold, 44.3) for fold in claim.folds]
        found = verdict(CLAIM, records)
        assert (found.status, list(found.partial), found.note) == ("unverified", [], "")


def test_partial_records_are_told_with_their_reasons() -> None:
    found = verdict(CLAIM, folds(44.0, 44.0, 44.0, 44.0, test__lists="own"))
    assert (found.status, found.miou, len(found.partial)) == ("unverified", None, 4)
    assert "4 records do not count: lists own, not published" in found.note


def test_a_note_names_the_most_frequent_reasons() -> None:
    wrong = {
        "test__lists": "own", "test__size": [64, 64], "episodes": 3, "test__aggregation": "concat",
        "training__config__loader__batch_size": 1, "training__config__trainer__max_epochs": 3,
        "training__config__loader__val_episodes": 3,
    }  # fmt: skip
    found = verdict(CLAIM, [made_record(CLAIM, 0, **wrong), made_record(CLAIM, 1, episodes=3)])
    assert (
        found.note.startswith("folds 0, 1, 2, 3 missing")
        or "2 records do not count: 3 episodes" in found.note
    )
    assert found.note.endswith("; and 1 more")


def test_a_published_checkpoint_counts_where_ours_are_not_complete() -> None:
    ours = folds(43.0, 43.0)
    theirs = [
        made_record(CLAIM, fold, 44.5, checkpoint__origin="published", backbone__weights="checkpoint")
        for fold in CLAIM.folds
    ]
    found = verdict(CLAIM, [*ours, *theirs])
    assert (found.status, found.origin, found.miou) == ("verified", "published", 44.5)
    assert found.note == "trainings of ours: 43.00 on 2 folds"
    found = verdict(CLAIM, [*folds(50.0, 50.0, 50.0, 50.0), *theirs])
    assert (found.status, found.origin) == ("differs", "trained")
    assert found.note == "published checkpoints: 44.50 on 4 folds"


def event(kind: str, step: str = "train", fold: int = 0, **more: str) -> dict[str, object]:
    return {"claim": CLAIM.id, "event": kind, "step": step, "fold": fold, "date": "2026-01-31", **more}


def test_events_say_what_is_running_and_what_failed() -> None:
    assert verdict(CLAIM, [], [event("started")]).status == "running"
    assert verdict(CLAIM, [], [event("started"), event("finished")]).status == "unverified"
    assert verdict(CLAIM, [], [event("started"), event("stopped")]).status == "unverified"
    broken = [event("started"), event("failed", reason="no space left"), event("started", fold=1)]
    found = verdict(CLAIM, [], broken)
    assert (found.status, found.note) == ("failed", "train of fold 0 failed: no space left")
    assert verdict(CLAIM, [], [*broken, event("started")]).status == "running"  # begun again
    assert verdict(CLAIM, [], [{**event("failed"), "claim": "another"}]).status == "unverified"


def test_a_whole_result_is_not_undone_by_events() -> None:
    records = folds(44.3, 44.3, 44.3, 44.3)
    for kind in ("started", "failed"):
        assert verdict(CLAIM, records, [event(kind)]).status == "verified"
