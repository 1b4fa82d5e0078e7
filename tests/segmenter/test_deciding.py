"""Scores and decisions: the same masks as the aggregations make, labels by score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmseg.errors import ConfigError
from hmseg.functional import resize_and_vote
from hmseg.networks.shots import AGGREGATIONS
from hmseg.segmenter.deciding import decide, label


def logits(shots: int) -> torch.Tensor:
    return torch.randn(shots, 2, 7, 9, generator=torch.Generator().manual_seed(shots))


@pytest.mark.parametrize("shots", [1, 2, 5])
@pytest.mark.parametrize("aggregation", ["vote", "mean_logits", "mean_probability"])
def test_decides_as_the_evaluation_at_original_size(aggregation: str, shots: int) -> None:
    foreground, score = decide(logits(shots), (23, 17), aggregation)
    expected = resize_and_vote(logits(shots)[None], [(23, 17)], (23, 17), AGGREGATIONS[aggregation])[0]
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(foreground, expected)
    assert score.shape == (23, 17) and score.dtype == torch.float32
    assert score.min() >= 0 and score.max() <= 1


def test_scores_are_mean_probabilities_or_that_of_the_mean_margin() -> None:
    given = logits(3)
    foreground = given.softmax(dim=1)[:, 1]
    torch.testing.assert_close(decide(given, (7, 9), "vote")[1], foreground.mean(dim=0))
    torch.testing.assert_close(decide(given, (7, 9), "mean_probability")[1], foreground.mean(dim=0))
    margin = (given[:, 1] - given[:, 0]).mean(dim=0)
    torch.testing.assert_close(decide(given, (7, 9), "mean_logits")[1], margin.sigmoid())


def test_all_aggregations_are_one_for_one_support() -> None:
    decided = [decide(logits(1), (20, 20), name) for name in AGGREGATIONS]
    for foreground, score in decided:
        assert torch.equal(foreground, decided[0][0]) and torch.equal(foreground, score > 0.5)


def test_half_precision_logits_are_decided_in_float32() -> None:
    assert decide(logits(2).bfloat16(), (7, 9))[1].dtype == torch.float32


def test_an_unknown_aggregation_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown aggregation 'votes': did you mean 'vote'"):
        decide(logits(1), (7, 9), "votes")


def test_labels_go_to_the_highest_score_of_those_that_claim_a_pixel_and_ties_to_the_first() -> None:
    claimed = np.array([[1, 1, 0, 0, 1], [1, 1, 1, 0, 1], [0, 1, 0, 0, 0]], dtype=bool)[:, None]
    scores = np.array(
        [[0.6, 0.7, 0.9, 0.4, 0.8], [0.7, 0.6, 0.6, 0.3, 0.8], [0.9, 0.8, 0.9, 0.2, 0.9]], dtype=np.float32
    )[:, None]
    # an unclaimed score does not count (pixels 0 and 2), nor does the least of all make a label (pixel 3)
    assert label(claimed, scores).tolist() == [[2, 3, 2, 0, 1]]
