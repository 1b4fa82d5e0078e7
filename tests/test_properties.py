"""What holds for every input: maskings, correlation, votes, metrics and samplers, by hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hmseg.correlation import correlate
from hmseg.data.protocols import digest, episodes
from hmseg.data.source import Listing
from hmseg.episode_table import episode_rows
from hmseg.masking.functions import feature_mask, hybrid_mask, input_mask, resize_mask
from hmseg.metrics import intersections_and_unions, scores
from hmseg.networks.shots import AGGREGATIONS, find_aggregation, vote

few = settings(max_examples=40, deadline=None, derandomize=True)
sizes = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)


def tensors(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def masks(seed: int, *shape: int) -> Tensor:
    return (tensors(seed, *shape) > 0).float()


# Maskings


@few
@given(seeds, sizes, sizes, st.integers(1, 4), st.integers(1, 30), st.integers(1, 30))
def test_a_masking_keeps_the_inside_and_changes_nothing_that_is_given(
    seed: int, height: int, width: int, channels: int, rows: int, columns: int
) -> None:
    features, mask = tensors(seed, 2, channels, height, width), masks(seed, 2, rows, columns)
    of_input = tensors(seed + 1, 2, channels, height, width)
    before = features.clone(), mask.clone(), of_input.clone()
    kept = feature_mask(features, mask)
    hybrid = hybrid_mask(kept, of_input)
    assert all(torch.equal(*pair) for pair in zip(before, (features, mask, of_input), strict=True))
    weight = resize_mask(mask, (height, width))
    weight = weight if weight.ndim == 4 else weight[:, None]
    assert ((weight >= -1e-5) & (weight <= 1 + 1e-5)).all()  # of interpolation
    assert torch.allclose(kept, features * weight, atol=1e-6)
    assert kept.shape == hybrid.shape == features.shape
    assert torch.allclose(feature_mask(features, torch.ones_like(mask)), features, atol=1e-5)
    assert not feature_mask(features, torch.zeros_like(mask)).any()


@few
@given(seeds, sizes, sizes)
def test_hybrid_masking_takes_each_feature_from_one_of_the_two(seed: int, height: int, width: int) -> None:
    """Published: where the masked features are not positive, those of the masked image stand."""
    features, of_input = tensors(seed, 1, 3, height, width), tensors(seed + 1, 1, 3, height, width)
    mask = masks(seed, 1, height, width)
    kept = feature_mask(features, mask)
    hybrid = hybrid_mask(kept, of_input)
    assert torch.equal(hybrid, torch.where(kept > 0, kept, of_input))


@few
@given(seeds, st.integers(2, 20), st.integers(2, 20))
def test_input_masking_leaves_the_object_and_hides_the_rest(seed: int, height: int, width: int) -> None:
    images, mask = tensors(seed, 1, 3, height, width), masks(seed, 1, height, width)
    other = torch.where(mask[:, None].bool(), images, tensors(seed + 7, 1, 3, height, width))
    masked = input_mask(images, mask)
    assert torch.equal(masked, input_mask(other, mask))  # nothing outside is seen
    inside = mask[:, None].bool().expand_as(images)
    assert torch.equal(masked[inside], images[inside])


# Correlation


@few
@given(seeds, st.integers(1, 5), sizes, sizes, sizes, sizes, st.floats(0.1, 100))
def test_correlations_are_cosines_cut_at_zero(
    seed: int, channels: int, h: int, w: int, height: int, width: int, scale: float
) -> None:
    query, support = tensors(seed, 1, channels, h, w), tensors(seed + 1, 1, channels, height, width)
    found = correlate(query, support)
    assert found.shape[-4:] == (h, w, height, width)
    assert (found >= 0).all() and (found <= 1 + 1e-4).all()
    turned = correlate(support, query).movedim((-2, -1), (-4, -3))
    assert torch.allclose(found.reshape(turned.shape), turned, atol=1e-4)  # symmetric
    assert torch.allclose(correlate(query * scale, support), found, atol=1e-3)  # of directions alone


# Votes


@few
@given(seeds, st.integers(1, 3), st.integers(1, 6), sizes, sizes)
def test_votes_do_not_depend_on_the_order_of_supports(
    seed: int, batch: int, shots: int, h: int, w: int
) -> None:
    logits = tensors(seed, batch, shots, 2, h, w)
    order = torch.randperm(shots, generator=torch.Generator().manual_seed(seed))
    for name in AGGREGATIONS:
        aggregate = find_aggregation(name)
        assert torch.equal(aggregate(logits) > 0, aggregate(logits[:, order]) > 0) or name.startswith("mean")
    alike = logits[:, :1].expand(-1, shots, -1, -1, -1)
    expected = logits[:, 0].argmax(dim=1)
    assert torch.equal(vote(alike).long().reshape(expected.shape), expected)  # one opinion is its own


# Metrics


@few
@given(seeds, st.integers(1, 4), sizes, sizes, st.booleans())
def test_intersections_and_unions_count_pixels(seed: int, batch: int, h: int, w: int, void: bool) -> None:
    prediction, target = masks(seed, batch, h, w).long(), masks(seed + 1, batch, h, w).long()
    ignored = masks(seed + 2, batch, h, w).bool() if void else None
    inter, union = intersections_and_unions(prediction, target, ignored)
    counted = h * w - (0 if ignored is None else ignored.flatten(1).sum(dim=1))
    assert ((inter >= 0) & (inter <= union)).all()
    both = inter.sum(dim=1)
    assert torch.equal(union.sum(dim=1), 2 * counted - both)  # what one class gains the other one loses
    swapped = intersections_and_unions(target, prediction, ignored)
    assert torch.equal(swapped[0], inter) and torch.equal(swapped[1], union)
    rows = episode_rows(torch.arange(batch), torch.zeros(batch), prediction, target, ignored)
    assert torch.equal(rows[:, 4::2].long(), inter.long()) and torch.equal(rows[:, 5::2].long(), union.long())


@few
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=6))
def test_scores_lie_between_0_and_100_and_are_100_for_what_is_right(
    counts: list[tuple[int, int, int]],
) -> None:
    classes = list(range(len(counts)))
    union = torch.tensor([[a + b + 1, a + 2 * b + 1] for a, b, _ in counts])
    inter = torch.tensor([[a, b] for a, b, _ in counts]).minimum(union)
    n = torch.tensor([n for *_, n in counts])
    found = scores(classes, inter, union, n)
    assert 0 <= found.miou <= 100 and 0 <= found.fb_iou <= 100
    right = scores(classes, union, union, n)
    assert right.miou == pytest.approx(100, abs=1e-3) and right.fb_iou == pytest.approx(100, abs=1e-3)


# Samplers


@few
@given(
    st.sampled_from(["hsnet", "ifsl", "strict"]),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(0, 10**6),
)
def test_episodes_are_of_one_class_and_the_query_is_never_its_support(
    protocol: str, n_classes: int, shot: int, count: int, seed: int
) -> None:
    pairs = tuple((f"{c}-{i}", c) for c in range(n_classes) for i in range(shot + 1 + c))
    listing, listed = Listing(pairs), set(pairs)
    drawn = episodes(protocol, listing, shot, count, seed)
    assert len(drawn) == count
    for each in drawn:
        assert len(each.supports) == shot and each.query not in each.supports
        assert {(name, each.class_id) for name in (each.query, *each.supports)} <= listed
        assert protocol != "strict" or len({*each.supports}) == shot
    assert digest(episodes(protocol, listing, shot, count, seed)) == digest(drawn)
    if protocol == "strict":  # each episode has a random stream of its own: more of them change none
        assert episodes(protocol, listing, shot, count + 3, seed)[:count] == drawn
    state = np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    episodes(protocol, listing, shot, count, seed)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index,union-attr]
