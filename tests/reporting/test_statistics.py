"""The bootstrap against a loop, against itself, and against what it promises: coverage."""

from __future__ import annotations

import numpy as np
import pytest

from hmseg.errors import DataError
from hmseg.reporting.statistics import (
    Contrast,
    Counts,
    Interval,
    interval,
    mean_and_deviation,
    miou,
    resampled,
    seen_interval,
    select,
)
from made_evaluations import scores, table

ONE = np.array([1.0])


def counts(seed: int = 0, episodes: int = 40, methods: int = 2, classes: int = 3) -> Counts:
    drawn = np.random.default_rng(seed)
    union = drawn.integers(50, 900, (episodes, methods))
    return Counts(
        tuple(range(classes)),
        drawn.integers(0, classes, episodes),
        (union * drawn.uniform(0.1, 0.9, (episodes, methods))).astype(np.int64),
        union,
    )


def test_miou_is_the_record_s() -> None:
    rows = table(40.0, fold=2)
    made = Counts(tuple(range(10, 15)), rows[:, 1], rows[:, 6:7], rows[:, 7:8])
    assert miou(made)[0] == pytest.approx(scores(rows, 2)["miou"], abs=1e-12)


def test_a_class_without_episodes_scores_zero_unless_only_seen_ones_count() -> None:
    made = Counts((1, 2), np.array([1]), np.array([[3]]), np.array([[4]]))
    assert miou(made)[0] == 37.5
    assert interval([Contrast(made, ONE)]) == Interval(37.5, 37.5, 37.5)
    assert seen_interval([Contrast(made, ONE)]).value == 75.0
    empty = select(made, np.array([False]))
    assert np.isnan(seen_interval([Contrast(empty, ONE)]).value)
    assert seen_interval([Contrast(empty, ONE), Contrast(made, ONE)]).value == 75.0


def test_resampling_is_a_loop_over_classes_and_draws() -> None:
    made, resamples, seed = counts(), 7, 5
    generator = np.random.default_rng((seed,))
    often = [
        generator.multinomial(n, np.full(n, 1 / n), size=resamples)
        for n in (int((made.class_ids == each).sum()) for each in made.classes)
    ]
    for draw in range(resamples):
        for method in range(2):
            total = 0.0
            for place, each in enumerate(made.classes):
                inter = union = 0
                rows = [n for n in range(40) if made.class_ids[n] == each]
                for position, n in enumerate(rows):
                    inter += int(often[place][draw][position] * made.intersection[n, method])
                    union += int(often[place][draw][position] * made.union[n, method])
                assert sum(often[place][draw]) == len(rows)
                total += inter / union
            expected = 100 * total / len(made.classes)
            assert resampled(made, resamples, seed)[draw, method] == pytest.approx(expected, abs=1e-10)


def test_the_same_method_twice_differs_by_exactly_nothing() -> None:
    made = counts(methods=1)
    twice = Counts(
        made.classes, made.class_ids, made.intersection.repeat(2, axis=1), made.union.repeat(2, axis=1)
    )
    assert interval([Contrast(twice, np.array([1.0, -1.0]))]) == Interval(0.0, 0.0, 0.0)


def test_a_constant_shift_is_certain_though_both_scores_are_not() -> None:
    union = np.full((30, 2), 1000)
    inter = np.random.default_rng(1).integers(100, 500, 30)
    made = Counts((0,), np.zeros(30, dtype=np.int64), np.stack([inter + 200, inter], axis=1), union)
    difference = interval([Contrast(made, np.array([1.0, -1.0]))])
    assert tuple(difference) == pytest.approx((20.0, 20.0, 20.0))
    alone = interval([Contrast(made, np.array([1.0, 0.0]))])
    assert alone.high - alone.low > 5
    assert difference.clear and not Interval(1.0, -1.0, 3.0).clear


def test_runs_of_a_method_count_by_their_mean() -> None:
    made = counts(methods=3)
    scores_ = miou(made)
    found = interval([Contrast(made, np.array([0.5, 0.5, -1.0]))])
    assert found.value == pytest.approx((scores_[0] + scores_[1]) / 2 - scores_[2])
    assert found.low < found.value < found.high


def test_folds_are_drawn_independently_and_averaged() -> None:
    folds = [Contrast(counts(seed, methods=1), ONE) for seed in (0, 1)]
    both = interval(folds)
    assert both.value == pytest.approx(np.mean([miou(each.counts)[0] for each in folds]))
    same = interval([folds[0], folds[0]])
    one = interval(folds[:1])
    assert same.high - same.low < 0.85 * (one.high - one.low)  # about 1 / √2, were the draws the same 1
    assert interval(folds) == both
    assert interval(folds, seed=1) != both


def test_ninety_five_percent_intervals_hold_the_truth_about_that_often() -> None:
    drawn = np.random.default_rng(3)
    truth, hits, trials = 100 * 0.5, 0, 200
    for trial in range(trials):
        share = drawn.uniform(0.2, 0.8, (80, 1))  # mean 0.5, every union the same
        union = np.full((80, 1), 10_000)
        made = Counts((0, 1), np.arange(80) % 2, (union * share).astype(np.int64), union)
        found = interval([Contrast(made, ONE)], resamples=300, seed=trial)
        hits += found.low <= truth <= found.high
    assert 0.89 <= hits / trials <= 0.99


def test_sums_that_do_not_fit_are_refused() -> None:
    one = np.ones((2, 1), dtype=np.int64)
    with pytest.raises(DataError, match=r"classes \[4\], which are not among the scored ones"):
        Counts((1,), np.array([1, 4]), one, one)
    with pytest.raises(DataError, match="expected"):
        Counts((1,), np.array([1]), one, one)
    with pytest.raises(DataError, match="different class ids"):
        Counts((1, 1), np.array([1, 1]), one, one)


def test_deviation_needs_two() -> None:
    assert mean_and_deviation([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_deviation([1.0]) == (1.0, None)
