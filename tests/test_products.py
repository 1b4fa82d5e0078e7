"""Products by oneDNN give what PyTorch's own give, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from hmseg import onednn, products
from hmseg.exporting import exporting
from hmseg.products import Linear, StackedProducts, clamped_product, product

SHAPES = [(7, 5), (1, 5), (2, 3, 5), (2, 3, 4, 5), (0, 5)]


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_equals_the_linear_layer_with_gradients(shape: tuple[int, ...], biased: bool) -> None:
    given = [numbers(*shape), numbers(6, 5), numbers(6) if biased else None]
    ours, theirs = ([None if g is None else g.clone().requires_grad_() for g in given] for _ in range(2))
    got, wanted = product(*ours), F.linear(*theirs)  # type: ignore[arg-type]
    torch.testing.assert_close(got, wanted)
    with torch.no_grad():
        torch.testing.assert_close(product(*given), wanted)  # type: ignore[arg-type]
    weights = numbers(*wanted.shape)
    (got * weights).sum().backward()
    (wanted * weights).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        if one is not None and other is not None:
            torch.testing.assert_close(one.grad, other.grad)


def test_memory_in_any_order() -> None:
    """Columns for rows, every second number, one row seen many times; and so the gradient."""
    every = numbers(10, 12)[:, ::2]
    for x in (numbers(6, 7).t(), every, numbers(1, 6).expand(4, 6)):
        weight = numbers(6, 8).t()
        with torch.no_grad():
            torch.testing.assert_close(product(x, weight), x @ weight.t())
            torch.testing.assert_close(clamped_product(x, weight), (x @ weight.t()).clamp(min=0))
        learnt = weight.clone().requires_grad_()
        product(x, learnt).sum().backward()
        torch.testing.assert_close(learnt.grad, x.sum(0).expand(8, 6))


def test_only_what_is_wanted_has_a_gradient() -> None:
    x, weight = numbers(3, 5), numbers(2, 5).requires_grad_()
    product(x, weight).sum().backward()
    assert x.grad is None and weight.grad is not None
    assert not clamped_product(x, weight).requires_grad


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_clamped(shape: tuple[int, ...]) -> None:
    x, weight = numbers(*shape), numbers(6, 5)
    torch.testing.assert_close(clamped_product(x, weight), (x @ weight.t()).clamp(min=0))


@pytest.mark.parametrize("available", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_stacked(available: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "AVAILABLE", onednn.AVAILABLE and available)
    x, weights = numbers(8, 3, 5).to(dtype), numbers(3, 7, 5).to(dtype).requires_grad_()
    multiply = StackedProducts(weights, rows=4)
    wanted = torch.stack([(x[:, n] @ weights[n].t()).clamp(min=0) for n in range(3)], dim=1)
    for part in (slice(0, 4), slice(3, 7), slice(0, 8)):  # the last of more rows than was said
        got = multiply(x[part])
        torch.testing.assert_close(got, wanted[part])
        assert got.is_contiguous() and not got.requires_grad


def test_the_plain_way_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other types, autocast, an export, a PyTorch without oneDNN's operator."""
    calls = []
    own = products._onednn
    monkeypatch.setattr(products, "_onednn", lambda *given: calls.append(1) or own(*given))
    x, weight = numbers(3, 5), numbers(2, 5)
    product(x, weight)
    assert len(calls) == 1
    torch.testing.assert_close(product(x.double(), weight.double()), x.double() @ weight.double().t())
    with torch.autocast("cpu", torch.bfloat16):
        assert product(x, weight).dtype == torch.bfloat16
    with exporting():
        product(x, weight)
    monkeypatch.setattr(onednn, "AVAILABLE", False)
    torch.testing.assert_close(clamped_product(x, weight), (x @ weight.t()).clamp(min=0))
    assert len(calls) == 1


def test_the_layer_is_pytorchs_with_its_names() -> None:
    layer, plain = Linear(5, 3), nn.Linear(5, 3)
    layer.load_state_dict(plain.state_dict())
    x = numbers(4, 5)
    torch.testing.assert_close(layer(x), plain(x))
    assert repr(layer) == repr(plain)
