"""Episodes in pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmseg.tracking.pictures import shown, strip
from tiny import tiny_batch


def test_iou_leaves_void_out_and_pictures_are_small() -> None:
    episode = tiny_batch(batch=1, size=(64, 96), classes=(3,))
    one = shown(episode, episode.query_mask.long(), ["?", "?", "?", "ring"], side=48)
    assert (one.name, one.position, one.iou) == ("ring", 0, 100.0)
    assert one.query.shape == one.support.shape == (32, 48, 3)
    assert one.truth.shape == one.prediction.shape == one.support_mask.shape == (32, 48)
    assert set(np.unique(one.truth)) == {0, 1, 2}
    everything = shown(episode, torch.ones(1, 64, 96), ["?"] * 4, side=48)
    counted = int((~episode.query_void).sum())
    assert everything.iou == pytest.approx(100 * int(episode.query_mask.sum()) / counted)
    assert shown(episode, torch.zeros(1, 64, 96), ["?"] * 4, side=48).iou == 0.0


def test_a_picture_is_never_made_larger_and_the_episode_stays_as_it_is() -> None:
    episode = tiny_batch(batch=1, size=(32, 48), classes=(3,))
    before = [field.clone() for field in episode]
    one = shown(episode, episode.query_mask, ["?"] * 4, side=400)
    assert one.query.shape == (32, 48, 3)
    assert (one.query == episode.query_image[0].permute(1, 2, 0).numpy()).all()
    assert all(torch.equal(a, b) for a, b in zip(before, episode, strict=True))


def test_a_strip_is_support_query_truth_and_prediction() -> None:
    episode = tiny_batch(batch=1, size=(32, 48), classes=(3,))
    one = shown(episode, ~episode.query_mask, ["?"] * 4, side=48)
    drawn = strip(one)
    assert drawn.shape == (32, 4 * 48, 3) and drawn.dtype == np.uint8
    support, query, truth, prediction = np.split(drawn, 4, axis=1)
    assert (query == one.query).all()
    void = one.truth == 2
    assert (truth[void] == 128).all() and (prediction[void] == 128).all() and not (support[void] == 128).all()
    assert not (truth == prediction).all()
