"""Whether a class is there at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hmseg
from hmseg import Box, Segmenter
from hmseg.errors import ConfigError
from hmseg.masking import build_masking
from hmseg.networks import FewShotNetwork
from hmseg.networks.kept import keep_support
from hmseg.segmenter.presence import ANY, LEAST, least_presence, presence
from tiny import TinyBackbone, TinyHead

OBJECT = Box(16, 16, 48, 48)


def network(masking: str = "feature", **options: Any) -> FewShotNetwork:
    return FewShotNetwork(TinyBackbone(), build_masking(masking), TinyHead(), **options).eval()


def picture(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_a_mask_that_leaves_nothing_of_the_deepest_maps_tells_nothing() -> None:
    segmenter = Segmenter(network(), side=64, presence=0.99).fit(picture(0), Box(30, 30, 31, 31))
    assert not segmenter.supports["object"][0].kept.levels[4][0].any()
    assert segmenter.predict(picture(1)).presence == (1.0,)


@torch.no_grad()
@pytest.mark.parametrize("shots", [1, 3])
def test_is_the_mean_cosine_at_the_best_hundredth(shots: int) -> None:
    """Against a slow calculation, position by position, on the network's own plane."""
    net = network()
    images, masks = torch.randn(shots, 3, 64, 64), torch.zeros(shots, 64, 64)
    masks[:, 16:48, 16:48] = 1
    kept = [keep_support(net, image, mask) for image, mask in zip(images, masks, strict=True)]
    query = net.encode_query(torch.randn(2, 3, 64, 64))
    logits = torch.randn(2, shots, 2, 4, 4)
    found = presence(net, query, kept, logits)
    mean = sum(each.levels[4][0][0, :, y, x] for each in kept for y in range(4) for x in range(4))
    for number in range(2):
        margin = (logits[number, :, 1] - logits[number, :, 0]).mean(dim=0)
        y, x = divmod(int(margin.argmax()), 4)  # a hundredth of 16 positions: one
        expected = torch.cosine_similarity(query[4][0][number, :, y, x], torch.as_tensor(mean), dim=0)
        assert found[number] == pytest.approx(float(expected), abs=1e-5)


def test_the_objects_own_image_is_more_like_it_than_another() -> None:
    segmenter = Segmenter(hmseg.build_network("hsnet", "feature", "mobilenet_v2", "bundled"), side=128)
    image = picture(0) // 4
    image[16:48, 16:48] += np.array([180, 40, 0], np.uint8)
    segmenter.fit(image, OBJECT)
    assert segmenter.predict(image).presence[0] > segmenter.predict(picture(1)).presence[0]


@pytest.mark.parametrize("masking", ["none", "feature", "input", "hybrid"])
def test_a_class_below_the_threshold_gets_no_mask_and_the_other_stays(masking: str) -> None:
    segmenter = Segmenter(network(masking), side=64, refine="none")
    segmenter.fit(picture(1), OBJECT, name="cat").fit(picture(2), Box(0, 0, 20, 20), name="dog")
    every = segmenter.predict(picture(3))
    assert every.absent == () and len(every.presence) == 2
    low, high = sorted(every.presence)
    segmenter.presence = (low + high) / 2
    some = segmenter.predict(picture(3))
    rarer, other = (every.names[every.presence.index(each)] for each in (low, high))
    assert some.presence == every.presence and some.absent == (rarer,)
    assert not some.mask_of(rarer).any() and np.array_equal(some.scores, every.scores)
    place = every.names.index(other)
    assert np.array_equal(some.foreground[place], every.foreground[place])
    assert segmenter.with_masking(masking).predict(picture(3)).absent == (rarer,)


def test_the_threshold_is_the_given_one_or_the_backbones() -> None:
    assert least_presence(network(), None) == ANY
    assert least_presence(network(), 0.5) == 0.5
    assert (
        least_presence(hmseg.build_network("hsnet", "feature", "efficientnet_lite2", "bundled"), None)
        == LEAST
    )
    assert least_presence(hmseg.build_network("hsnet", "feature", "efficientnet_lite2"), None) == ANY
    with pytest.raises(ConfigError, match=r"presence=2: a cosine was expected, -1 to 1"):
        Segmenter(network(), side=64, presence=2)
