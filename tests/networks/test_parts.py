"""Networks as modules to export: the same logits by public operators only, whole and in two parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import hmseg
from hmseg.exporting import exporting, is_exporting
from hmseg.masking import MASKINGS, build_masking
from hmseg.networks import FewShotNetwork, VATHead
from hmseg.networks.parts import QuerySegmenter, SupportEncoder, WholeNetwork, kept_names


@pytest.fixture(scope="module", params=["hsnet", "asnet", "vat", "hsnet prior", "asnet prior"])
def network(request: pytest.FixtureRequest) -> Iterator[FewShotNetwork]:
    torch.manual_seed(0)
    model, _, prior = request.param.partition(" ")
    options: dict[str, Any] = {"side": 64} if model == "vat" else {"prior": bool(prior)}
    yield hmseg.build_network(model, "hybrid", "mobilenet_v2", weights="bundled", **options)


def episode(shots: int = 2, size: tuple[int, int] = (64, 96)) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    masks = torch.zeros(2, shots, *size, dtype=torch.bool)
    masks[:, 0, 8:40, 16:48] = True
    masks[:, -1, 20:30, 30:64] = True
    return (
        torch.randn(2, 3, 64, 64, generator=rng),
        torch.randn(2, shots, 3, *size, generator=rng),
        masks,
    )


def error(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


class Namespaces(TorchDispatchMode):
    """The namespaces of all operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func.namespace)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("masking", MASKINGS)
@torch.no_grad()
def test_every_model_and_masking_gives_the_same_both_ways(network: FewShotNetwork, masking: str) -> None:
    if isinstance(network.head, VATHead) and masking in ("none", "input"):
        pytest.skip("slow, and to VAT what feature masking is: a mask without a merge")
    other = FewShotNetwork(network.backbone, build_masking(masking), network.head).eval()
    query, images, masks = episode()
    wanted = other(query, images, masks)
    with Namespaces() as operators:
        got = WholeNetwork(other)(query, images, masks)
    assert operators.seen == {"aten"}
    assert error(got, wanted) < 1e-5
    kept = SupportEncoder(other)(images, masks)
    assert len(kept) == len(kept_names(other))
    assert error(QuerySegmenter(other)(query, *kept), wanted) < 1e-5


@torch.no_grad()
def test_the_fast_way_has_operators_of_its_own() -> None:
    """What the test above would notice."""
    torch.manual_seed(0)
    fast = hmseg.build_network("hsnet", "hybrid", "resnet50")
    with Namespaces() as operators:
        fast(*episode(shots=1, size=(64, 64)))
    assert "mkldnn" in operators.seen


@torch.no_grad()
def test_joined_supports() -> None:
    torch.manual_seed(0)
    network = hmseg.build_network("asnet", "hybrid", "mobilenet_v2", weights="bundled")
    joined = FewShotNetwork(network.backbone, network.masking, network.head, join_shots=True).eval()
    query, images, masks = episode()
    got = WholeNetwork(joined)(query, images, masks)
    assert got.shape == (2, 1, 2, 64, 64)
    assert error(got, joined(query, images, masks)) < 1e-5


def test_only_heads_that_see_masks_keep_them() -> None:
    for model, last in (("hsnet", "level4_3"), ("asnet", "masks"), ("vat", "level4_3")):
        assert kept_names(hmseg.build_network(model, backbone="mobilenet_v2"))[-1] == last


def test_the_plain_way_ends_with_its_block() -> None:
    with pytest.raises(RuntimeError), exporting():
        assert is_exporting()
        raise RuntimeError
    assert not is_exporting()
