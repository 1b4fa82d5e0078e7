"""One mask from several supports: the vote's rivals, and supports joined into one."""

from __future__ import annotations

import pytest
import torch

import hmseg
from hmseg.backbones import build_backbone
from hmseg.errors import ConfigError
from hmseg.masking import build_masking
from hmseg.networks import ASNetHead, FewShotNetwork, Head, HSNetHead, VATHead
from hmseg.networks.shots import AGGREGATIONS, find_aggregation, join, mean_logits, mean_probability, vote
from tiny import TinyBackbone, TinyHead


def test_the_means_are_those_of_a_loop() -> None:
    logits = torch.randn(2, 5, 2, 6, 7)
    for b in range(2):
        for y in range(6):
            for x in range(7):
                pixel = logits[b, :, :, y, x]  # (K, 2)
                background, foreground = pixel.mean(dim=0).tolist()
                assert mean_logits(logits)[b, y, x].item() == (foreground > background)
                share = sum(each.softmax(0)[1].item() for each in pixel) / 5
                assert mean_probability(logits)[b, y, x].item() == (share > 0.5)


def test_one_support_is_its_argmax_whatever_the_aggregation() -> None:
    logits = torch.randn(3, 1, 2, 9, 9)
    logits[0] = torch.tensor([1.0, 1.0 + 1e-7]).view(
        1, 2, 1, 1
    )  # float32 tells them apart, a sigmoid doesn't
    for name, aggregate in AGGREGATIONS.items():
        assert torch.equal(aggregate(logits), logits[:, 0].argmax(dim=1).bool()), name


def test_aggregations_differ_where_they_should() -> None:
    sure, doubt = torch.tensor([0.0, 9.0]), torch.tensor([1.0, 0.0])
    one_of_three = torch.stack([sure, doubt, doubt]).view(1, 3, 2, 1, 1)
    assert mean_logits(one_of_three) and mean_probability(one_of_three)
    one_of_five = torch.stack([sure, *[doubt] * 4]).view(1, 5, 2, 1, 1)
    assert mean_logits(one_of_five) and not mean_probability(one_of_five)
    # The published vote divides by the largest count of the image: one vote is all where no pixel has two.
    assert vote(one_of_three)
    together = torch.cat([one_of_three, torch.stack([sure] * 3).view(1, 3, 2, 1, 1)], dim=-1)
    assert vote(together)[0, 0].tolist() == [False, True]


def test_unknown_aggregation() -> None:
    with pytest.raises(ConfigError, match="unknown aggregation 'mean_logit': did you mean 'mean_logits'"):
        find_aggregation("mean_logit")


def test_supports_are_joined_side_by_side() -> None:
    maps = torch.arange(2 * 3 * 4 * 5.0).view(6, 1, 4, 5)  # two images of three shots
    joined = join(maps, shots=3)
    assert joined.shape == (2, 1, 4, 15)
    for image in range(2):
        for shot in range(3):
            assert torch.equal(joined[image, :, :, 5 * shot : 5 * shot + 5], maps[3 * image + shot])
    assert join(maps, shots=1) is maps


@pytest.mark.parametrize("head", [HSNetHead, ASNetHead])
def test_a_joined_network_gives_one_answer_for_all_supports(head: type[Head]) -> None:
    backbone = build_backbone("mobilenet_v2", "bundled")
    kind = head(backbone.feature_info)  # type: ignore[call-arg]
    joined = FewShotNetwork(backbone, build_masking("hybrid"), kind, join_shots=True).eval()
    single = FewShotNetwork(backbone, build_masking("hybrid"), kind).eval()
    query, supports = torch.randn(2, 3, 64, 64), torch.randn(2, 2, 3, 64, 64)
    masks = torch.zeros(2, 2, 64, 64, dtype=torch.bool)
    masks[..., 16:48, 16:48] = True
    with torch.no_grad():
        found = joined(query, supports, masks)
        assert found.shape == (2, 1, 2, 64, 64)
        for one in range(2):  # each image on its own: no support reaches another query
            alone = joined(query[one : one + 1], supports[one : one + 1], masks[one : one + 1])
            assert torch.allclose(found[one], alone[0], atol=1e-5)
        first = joined(query, supports[:, :1], masks[:, :1])
        assert torch.equal(first, single(query, supports[:, :1], masks[:, :1]))  # one shot: nothing changes
        other = supports.clone()
        other[:, 1] += 1
        assert not torch.allclose(found, joined(query, other, masks), atol=1e-4)  # both are seen


def test_vat_has_a_fixed_grid() -> None:
    backbone = build_backbone("mobilenet_v2")
    head = VATHead(backbone.feature_info, side=64)
    with pytest.raises(ConfigError, match="VATHead resizes supports to a fixed grid"):
        FewShotNetwork(backbone, build_masking("hybrid"), head, join_shots=True)


def test_predict_votes() -> None:
    network = FewShotNetwork(TinyBackbone(), build_masking("none"), TinyHead()).eval()
    query, supports = torch.randn(1, 3, 32, 48), torch.randn(1, 3, 3, 32, 48)
    masks = torch.ones(1, 3, 32, 48, dtype=torch.bool)
    assert torch.equal(network.predict(query, supports, masks), hmseg.vote(network(query, supports, masks)))
