"""The centre-pivot convolution against a full 4-D convolution with a kernel that is zero off its centres."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmseg.networks.layers import CentrePivotConv4d, Upsample2x, resize_query_plane, resize_support_plane


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


def test_upsample() -> None:
    x = torch.randn(1, 2, 3, 4)
    expected = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    torch.testing.assert_close(Upsample2x()(x), expected)
