"""GroupNorm with channels innermost: PyTorch's numbers and gradients, and more exact on many positions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.networks import group_norm
from hmseg.networks.group_norm import GroupNorm4d


def innermost(x: Tensor) -> Tensor:
    """The same (N, C, hq, wq, hs, ws) with channels innermost in memory."""
    return x.permute(0, 2, 3, 4, 5, 1).contiguous().permute(0, 5, 1, 2, 3, 4)


def norm(dtype: torch.dtype = torch.float32) -> GroupNorm4d:
    layer = GroupNorm4d(2, 6).to(dtype)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize("batch", [1, 2])
def test_same_numbers_and_gradients_as_pytorchs(batch: int) -> None:
    layer, plain = norm(torch.float64), torch.randn(batch, 6, 3, 5, 2, 3, dtype=torch.float64) + 2
    found = []
    for usual in (True, False):
        x = (plain if usual else innermost(plain)).clone(memory_format=torch.preserve_format).requires_grad_()
        layer.zero_grad()
        y = F.group_norm(x, 2, layer.weight, layer.bias, layer.eps) if usual else layer(x)
        (y * torch.arange(y.numel()).view(y.shape)).tanh().sum().backward()
        found.append([y, x.grad, *(each.grad.clone() for each in layer.parameters())])
    torch.testing.assert_close(found[1], found[0])
    assert found[1][0].permute(0, 2, 3, 4, 5, 1).is_contiguous()


def test_gradients() -> None:
    layer = norm(torch.float64)
    x = innermost(torch.randn(2, 6, 2, 1, 2, 2, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradcheck(lambda *_: layer(x.detach()), tuple(layer.parameters()))


def test_other_memory_and_precision_go_pytorchs_way() -> None:
    x = torch.randn(1, 6, 3, 2, 2, 2)
    layer = norm()
    torch.testing.assert_close(layer(x), F.group_norm(x, 2, layer.weight, layer.bias))
    half = norm().bfloat16()
    assert half(innermost(x).bfloat16()).dtype == torch.bfloat16


def test_in_place_only_where_no_gradient_is_wanted() -> None:
    layer, given = GroupNorm4d(2, 6, inplace=True), innermost(torch.randn(2, 6, 3, 4, 2, 2))
    wanted = F.group_norm(given.double(), 2).float()
    x = given.clone(memory_format=torch.preserve_format)
    torch.testing.assert_close(layer(x), wanted)
    assert torch.equal(x, given)
    with torch.no_grad():
        result = layer(x)
        torch.testing.assert_close(result, wanted)
        assert result.data_ptr() == x.data_ptr()
        x = given.clone(memory_format=torch.preserve_format)
        assert GroupNorm4d(2, 6)(x).data_ptr() != x.data_ptr() and torch.equal(x, given)


@pytest.mark.parametrize("products", [1, 200, 10**6])
def test_products_are_added_some_at_a_time(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_norm, "PRODUCTS", products)
    x = torch.randn(2, 6, 5, 4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(GroupNorm4d(2, 6).double()(innermost(x)), F.group_norm(x, 2))


def test_exact_on_many_positions() -> None:
    x = 0.3 + 0.1 * torch.randn(1, 6, 100, 100, 5, 5, generator=torch.Generator().manual_seed(0))
    layer = norm()
    wanted = F.group_norm(x.double(), 2, layer.weight.double(), layer.bias.double())
    assert (layer(innermost(x)) - wanted).norm() / wanted.norm() < 2e-6
