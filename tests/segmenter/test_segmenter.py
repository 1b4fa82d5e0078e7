"""The segmenter: the network's own results, supports encoded once, classes against each other, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import made_annotations as made
from hmseg import Box, Segmenter
from hmseg.data.transforms import normalise
from hmseg.errors import ConfigError, DataError
from hmseg.functional import resize_and_vote
from hmseg.masking import build_masking
from hmseg.networks import FewShotNetwork
from hmseg.networks.shots import AGGREGATIONS
from tiny import TinyBackbone, TinyHead

SIDE = 64


def tiny(masking: str = "hybrid", join_shots: bool = False) -> FewShotNetwork:
    masking_ = build_masking(masking)
    return FewShotNetwork(TinyBackbone(), masking_, TinyHead(), join_shots=join_shots).eval()


def photo(seed: int = 0, size: tuple[int, int] = (40, 72)) -> NDArray[np.uint8]:
    """Noise with a bright rectangle."""
    generator = np.random.default_rng(seed)
    image = generator.integers(0, 90, (*size, 3), dtype=np.uint8)
    image[10:30, 20:50] += 150
    return image


OBJECT = Box(20, 10, 50, 30)


class Passes:
    """Counts the images that pass a backbone."""

    def __init__(self, network: FewShotNetwork) -> None:
        self.images = 0
        network.backbone.register_forward_hook(self._count)

    def _count(self, module: nn.Module, arguments: tuple[torch.Tensor], result: Any) -> None:
        self.images += len(arguments[0])

    def take(self) -> int:
        count, self.images = self.images, 0
        return count


@pytest.mark.parametrize("aggregation", ["vote", "mean_logits", "mean_probability", "concat"])
@pytest.mark.parametrize("shots", [1, 9])  # 9 at 64 px are more than a CPU's head takes at once
def test_predicts_what_the_network_does_at_original_size(
    aggregation: str, shots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("hmseg.networks.fewshot").networks.fewshot.HEAD_PIXELS, "cpu", 4 * SIDE**2)
    network = tiny(join_shots=aggregation == "concat")
    segmenter = Segmenter(network, side=SIDE, aggregation=aggregation, device="cpu", refine="none")
    segmenter.fit([photo(seed) for seed in range(shots)], [OBJECT] * shots)
    result = segmenter.predict(photo(99))
    supports = segmenter.supports["object"]
    images = torch.stack([torch.from_numpy(each.image).permute(2, 0, 1) for each in supports])
    masks = torch.stack([torch.from_numpy(each.mask) for each in supports])
    with torch.no_grad():
        logits = network(
            segmenter.encoder.squares([photo(99)]), normalise(images)[None], masks[None].contiguous()
        )
    expected = resize_and_vote(logits, [(40, 72)], (40, 72), AGGREGATIONS[aggregation])[0].numpy()
    assert 0 < expected.sum() < expected.size
    assert (result.mask != expected).mean() < 1e-3  # a few pixels on the edge may round the other way
    assert result.labels.shape == result.scores.shape[1:] == (40, 72)


@pytest.mark.parametrize("masking", ["none", "feature", "input", "hybrid"])
def test_a_query_passes_the_backbone_once_and_a_support_never_again(masking: str) -> None:
    network = tiny(masking)
    passes = Passes(network)
    segmenter = Segmenter(network, side=SIDE)
    segmenter.fit([photo(1), photo(2)], [OBJECT, OBJECT], name="cat").fit(photo(3), OBJECT, name="dog")
    assert passes.take() == 3 * len(network.masking.variants)
    first = segmenter.predict(photo(4))
    assert passes.take() == 1
    again = segmenter.predict(photo(4))
    assert passes.take() == 1
    assert np.array_equal(first.scores, again.scores)
    list(segmenter.predict_many([photo(seed) for seed in range(5)], batch=2))
    assert passes.take() == 5
    segmenter.add(photo(5), OBJECT, name="cat").remove("dog")
    assert passes.take() == len(network.masking.variants)


def test_supports_come_and_go() -> None:
    segmenter = Segmenter(tiny(), side=SIDE)
    segmenter.fit(photo(1), OBJECT, name="cat").add(photo(2), OBJECT, name="dog")
    alone = segmenter.predict(photo(9)).score_of("cat")
    segmenter.add(photo(3, (80, 60)), OBJECT, name="cat")
    assert segmenter.classes == ("cat", "dog")
    assert [each.size for each in segmenter.supports["cat"]] == [(40, 72), (80, 60)]
    assert not np.array_equal(segmenter.predict(photo(9)).score_of("cat"), alone)
    segmenter.remove("cat", 1)
    assert np.array_equal(segmenter.predict(photo(9)).score_of("cat"), alone)
    segmenter.fit(photo(4), OBJECT, name="cat")  # in its old place
    assert segmenter.classes == ("cat", "dog") and len(segmenter.supports["cat"]) == 1
    segmenter.remove("cat", -1)
    assert segmenter.classes == ("dog",)
    segmenter.remove("dog")
    with pytest.raises(DataError, match="there is no support yet"):
        segmenter.predict(photo(9))


def test_classes_are_labelled_in_their_order_by_score() -> None:
    segmenter = Segmenter(tiny(), side=SIDE)
    segmenter.fit(photo(1), OBJECT, name="a").fit(photo(2), Box(0, 0, 72, 5), name="b")
    result = segmenter.predict(photo(3))
    assert result.names == ("a", "b") and result.scores.shape == (2, 40, 72)
    for number, name in ((1, "a"), (2, "b")):
        one = Segmenter(tiny(), side=SIDE)
        place = result.names.index(name)
        one.fit(photo(number), (OBJECT, Box(0, 0, 72, 5))[place], name=name)
        assert np.array_equal(one.predict(photo(3)).scores[0], result.scores[place])
        assert np.array_equal(one.predict(photo(3)).mask, result.foreground[place])
    highest = result.scores.argmax(axis=0) + 1
    both = result.foreground.all(axis=0)
    assert both.any()
    assert np.array_equal(result.labels[both], highest[both])
    assert np.array_equal(result.mask, result.foreground.any(axis=0))


def test_a_tie_goes_to_the_class_fitted_first() -> None:
    segmenter = Segmenter(tiny(), side=SIDE)
    result = segmenter.fit(photo(1), OBJECT, name="z").fit(photo(1), OBJECT, name="a").predict(photo(2))
    assert set(np.unique(result.labels)) == {0, 1}


def test_many_are_read_as_they_are_needed_and_come_in_order() -> None:
    segmenter = Segmenter(tiny(), side=SIDE).fit(photo(1), OBJECT)
    sizes = [(40, 72), (50, 60), (64, 64), (41, 73), (90, 60)]
    taken: list[int] = []

    def images() -> Iterator[NDArray[np.uint8]]:
        for number, size in enumerate(sizes):
            taken.append(number)
            yield photo(number, size)

    results = segmenter.predict_many(images(), batch=2)
    assert taken == []
    found = [next(results)]
    assert taken == [0, 1]
    found += results
    assert [each.labels.shape for each in found] == sizes
    for number, each in enumerate(found):
        alone = segmenter.predict(photo(number, sizes[number]))
        np.testing.assert_allclose(each.scores, alone.scores, atol=1e-5)


def test_another_masking_with_the_same_supports() -> None:
    segmenter = Segmenter(tiny("hybrid"), side=SIDE).fit(photo(1), OBJECT)
    before = segmenter.predict(photo(2)).scores
    other = segmenter.with_masking("input")
    expected = Segmenter(tiny("input"), side=SIDE).fit(photo(1), OBJECT).predict(photo(2)).scores
    assert np.array_equal(other.predict(photo(2)).scores, expected)
    assert not np.array_equal(expected, before)
    other.add(photo(3), OBJECT)
    assert len(segmenter.supports["object"]) == 1
    assert np.array_equal(segmenter.predict(photo(2)).scores, before)


def test_bfloat16_is_near_float32() -> None:
    full, half = (
        Segmenter(tiny(), side=SIDE, device="cpu", precision=precision)
        .fit(photo(1), OBJECT)
        .predict(photo(2))
        for precision in ("auto", "bfloat16")
    )
    assert half.scores.dtype == np.float32
    difference = np.abs(half.scores - full.scores)
    assert 0 < difference.max() < 0.1


def test_a_failed_fit_changes_nothing() -> None:
    segmenter = Segmenter(tiny(), side=SIDE).fit(photo(1), OBJECT, name="cat")
    before = segmenter.supports
    with pytest.raises(DataError, match="mask 2 of 'cat' is empty"):
        segmenter.fit([photo(1), photo(2)], [OBJECT, np.zeros((40, 72), bool)], name="cat")
    with pytest.raises(DataError, match="image of 'dog' holds NaN"):
        segmenter.add(np.full((4, 4, 3), np.nan), OBJECT, name="dog")
    assert segmenter.supports == before


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda s: s.fit([photo(1)], [OBJECT, OBJECT]), "1 images and 2 masks came"),
        (lambda s: s.fit([], []), "0 images and 0 masks came"),
        (lambda s: s.fit([photo(1)], OBJECT), "1 images and one mask came"),
        (
            lambda s: s.fit(photo(1), np.ones((5, 5), bool)),
            "mask of 'object' is 5x5 pixels, 72x40 were expected",
        ),
        (lambda s: s.fit(photo(1), OBJECT, name=" "), "the name of a class was expected"),
        (lambda s: s.fit(photo(1), OBJECT, name=3), "the name of a class was expected, some text, got 3"),
        (lambda s: s.remove("cat"), "unknown class 'cat'"),
        (lambda s: s.fit(photo(1), OBJECT).remove("object", 1), "class 'object' has 1 supports, .* number 1"),
        (lambda s: s.predict(photo(1)), "there is no support yet"),
        (lambda s: s.predict_many([photo(1)]), "there is no support yet"),
        (lambda s: s.fit(photo(1), OBJECT).predict("nowhere.jpg"), "nowhere.jpg does not exist"),
        (
            lambda s: s.fit(photo(1, (300, 300)), Box(7, 7, 8, 8)),
            "mask of 'object': its 1 pixels are lost when the image of 300x300 is resized to 64x64",
        ),
    ],
)
def test_mistakes_are_named(do: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        do(Segmenter(tiny(), side=SIDE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 63}, "side=63: at least 64"),
        ({"aggregation": "votes"}, "unknown aggregation 'votes'"),
        ({"aggregation": "concat"}, "aggregation 'concat' doesn't fit this network"),
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"device": "gpu0"}, "device 'gpu0' can't be used"),
        ({"resize": "pill"}, "unknown resize 'pill'"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Segmenter(tiny(), **{"side": SIDE, **options})
    with pytest.raises(ConfigError, match="batch=0"):
        Segmenter(tiny(), side=SIDE).fit(photo(1), OBJECT).predict_many([], batch=0)


def test_annotation_files_are_supports(tmp_path: Path) -> None:
    segmenter = Segmenter(tiny(), side=SIDE, device="cpu")
    made.labelme(tmp_path / "json")
    segmenter.fit_annotations(tmp_path / "json")
    assert segmenter.classes == ("cat", "dog")
    assert [len(each) for each in segmenter.supports.values()] == [2, 1]
    shape = made.labelme_shape("cat", made.ring(made.CAT), "line")
    made.labelme_file(tmp_path / "json/one.json", "one.jpg", [shape])
    with pytest.warns(UserWarning, match="left out 1 of 2 annotations, the first: .*shape 1: a line"):
        segmenter.fit_annotations(str(tmp_path / "json"))
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        segmenter.fit_annotations(tmp_path / "none")
