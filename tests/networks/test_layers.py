"""The centre-pivot convolution against a full 4-D convolution with a kernel that is zero off its centres."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmseg import correlation
from hmseg.correlation import hypercorrelation
from hmseg.networks import layers
from hmseg.networks.first_layer import correlate_and_convolve
from hmseg.networks.layers import (
    CentrePivotConv4d,
    Upsample2x,
    mean_over_support,
    resize_query_plane,
    resize_support_plane,
)


def slow_conv4d(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """(C, hq, wq, hs, ws) with kernel (O, C, k, k, k, k), stride over the last two axes, padding k // 2."""
    k = kernel.shape[-1]
    p = k // 2
    _, hq, wq, hs, ws = x.shape
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (p, p), (p, p)))
    out = np.zeros((len(kernel), hq, wq, -(-hs // stride), -(-ws // stride)))
    for a, b, c, d in np.ndindex(*out.shape[1:]):
        window = padded[:, a : a + k, b : b + k, c * stride : c * stride + k, d * stride : d * stride + k]
        out[:, a, b, c, d] = np.tensordot(kernel, window, axes=5) + bias
    return out


@pytest.mark.parametrize(
    ("size", "k", "stride"),
    [((5, 4, 4, 6), 3, 2), ((3, 3, 5, 5), 5, 4), ((4, 5, 3, 2), 3, 1), ((5, 4, 1, 1), 3, 2)],
)
def test_equals_a_sparse_4d_convolution(size: tuple[int, ...], k: int, stride: int) -> None:
    layer = CentrePivotConv4d(2, 3, k, stride)
    x = torch.randn(2, 2, *size)
    kernel = np.zeros((3, 2, k, k, k, k))
    kernel[:, :, :, :, k // 2, k // 2] += layer.conv1.weight.detach().numpy()
    kernel[:, :, k // 2, k // 2, :, :] += layer.conv2.weight.detach().numpy()
    bias = (layer.conv1.bias + layer.conv2.bias).detach().numpy()
    got = layer(x).detach().numpy()
    for n in range(2):
        np.testing.assert_allclose(got[n], slow_conv4d(x[n].numpy(), kernel, bias, stride), atol=1e-5)


@pytest.mark.parametrize("support", [(1, 1), (3, 2)])
def test_gradients(support: tuple[int, int]) -> None:
    layer = CentrePivotConv4d(1, 2, 3, 2).double()
    x = torch.randn(1, 1, 3, 2, *support, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    parameters = tuple(layer.parameters())
    assert torch.autograd.gradcheck(lambda *_: layer(x.detach()), parameters)


def test_resizing_one_plane_leaves_the_other_alone() -> None:
    x = torch.randn(2, 3, 4, 5, 2, 3)
    got = resize_query_plane(x, (7, 6))
    assert got.shape == (2, 3, 7, 6, 2, 3)
    for i, j in np.ndindex(2, 3):
        expected = torch.nn.functional.interpolate(x[..., i, j], (7, 6), mode="bilinear", align_corners=True)
        torch.testing.assert_close(got[..., i, j], expected)
    mirrored = resize_support_plane(x.permute(0, 1, 4, 5, 2, 3), (7, 6)).permute(0, 1, 4, 5, 2, 3)
    torch.testing.assert_close(mirrored, got)
    assert resize_query_plane(x, (4, 5)) is x


@pytest.mark.parametrize("batch", [1, 2])
def test_resizing_keeps_channels_innermost(batch: int) -> None:
    rows = torch.randn(batch, 4, 5, 3, 2, 6)
    x = rows.permute(0, 5, 1, 2, 3, 4)
    got = resize_query_plane(x, (7, 6))
    assert got.permute(0, 2, 3, 4, 5, 1).is_contiguous()
    torch.testing.assert_close(got, resize_query_plane(x.contiguous(), (7, 6)))


def test_upsample() -> None:
    x = torch.randn(1, 2, 3, 4)
    expected = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(Upsample2x()(x), expected)


@pytest.mark.parametrize(
    ("size", "k", "stride"),
    [
        ((5, 4, 9, 6), 5, 4),
        ((3, 4, 5, 5), 3, 2),
        ((4, 5, 2, 2), 3, 1),
        ((4, 3, 3, 4), 5, 1),
        ((3, 4, 4, 3), 3, 1),
    ],
)
def test_the_fast_way_gives_the_plain_ways_results_and_gradients(
    size: tuple[int, ...], k: int, stride: int
) -> None:
    layer = CentrePivotConv4d(3, 4, k, stride).double()
    plain = torch.randn(2, 3, *size, dtype=torch.float64)
    found = {}
    for name, way in (("plain", layer._on_planes), ("fast", layer._on_channels_last)):
        x = plain.clone().requires_grad_()
        layer.zero_grad()
        way(2 * x).tanh().sum().backward()  # not a leaf: as behind another layer
        found[name] = [x.grad, *(parameter.grad.clone() for parameter in layer.parameters())]
    torch.testing.assert_close(found["fast"], found["plain"])
    with torch.no_grad():
        torch.testing.assert_close(layer._on_channels_last(plain), layer._on_planes(plain))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("plane", [(4, 4), (3, 2), (1, 5), (2, 6)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_products_of_few_outputs(stride: int, plane: tuple[int, int], kernel: int) -> None:
    """Without gradients each support position of a small result is a product that knows its border."""
    layer, x = CentrePivotConv4d(2, 3, kernel, stride), torch.randn(2, 2, 3, 4, *plane)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), layer._on_planes(x))


def test_few_outputs_are_products_only_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = CentrePivotConv4d(2, 3, 3, 2), torch.randn(1, 2, 3, 4, 4, 4)
    calls: list[object] = []
    own = layers.product
    monkeypatch.setattr(layers, "product", lambda *given: calls.append(1) or own(*given))
    layer(x)
    assert not calls
    with torch.no_grad():
        layer(x)
        assert len(calls) == 4
        layer(torch.randn(1, 2, 3, 4, 6, 6))  # nine outputs
    assert len(calls) == 4


def test_mean_over_support_in_any_memory() -> None:
    x = torch.randn(2, 3, 4, 5, 2, 3)
    last = x.permute(0, 2, 3, 4, 5, 1).contiguous().permute(0, 5, 1, 2, 3, 4)
    for each in (x, last):
        torch.testing.assert_close(mean_over_support(each), x.mean(dim=(-2, -1)))


def test_first_layer_equals_the_layer_of_the_hypercorrelation() -> None:
    rng = torch.Generator().manual_seed(0)
    layer = CentrePivotConv4d(2, 4, 5, 4)
    query = [torch.randn(2, c, 6, 5, generator=rng) for c in (3, 7)]
    support = [torch.randn(4, c, 9, 7, generator=rng) for c in (3, 7)]  # two shots
    wanted = layer._on_planes(hypercorrelation(query, support))
    with torch.no_grad():
        torch.testing.assert_close(
            correlate_and_convolve(layer, query, support), wanted, rtol=1e-4, atol=1e-5
        )
    gradients = []
    for result in (wanted, correlate_and_convolve(layer, query, support)):
        layer.zero_grad()
        result.tanh().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("piece", [210, 840, 10**6])  # similarities: of 3, 12 and all of 35 positions
def test_first_layer_in_pieces(piece: int, stacked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = CentrePivotConv4d(2, 4, 3, 2)
    query = [torch.randn(2, 8, 7, 5) for _ in range(2)]
    support = [torch.randn(4, 8, 5, 7) for _ in range(2)]  # two shots
    each = [correlation.correlate(q.double(), s.double()) for q, s in zip(query, support, strict=True)]
    wanted = torch.stack(each, dim=1).float()
    monkeypatch.setattr(correlation, "PIECE", piece)
    monkeypatch.setattr(correlation, "LEAST_ROWS", 1)
    monkeypatch.setattr(correlation, "STACKED_FROM", 1 if stacked else 10**9)
    torch.testing.assert_close(hypercorrelation(query, support), wanted)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(correlate_and_convolve(layer, query, support), layer(wanted), **close)
    with torch.no_grad():
        torch.testing.assert_close(correlate_and_convolve(layer, query, support), layer(wanted), **close)


def test_first_layer_passes_gradients_to_maps_that_want_them() -> None:
    layer, support = CentrePivotConv4d(1, 4, 3, 2), [torch.randn(1, 8, 4, 4)]
    query = [torch.randn(1, 8, 4, 4, requires_grad=True)]
    correlate_and_convolve(layer, query, support).sum().backward()
    assert query[0].grad is not None and query[0].grad.abs().sum() > 0
