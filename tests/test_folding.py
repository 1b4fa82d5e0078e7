"""Folded batch norms: the same numbers, made anew when weights change, and no part of a module's state."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hmseg import onednn
from hmseg.folding import ORDERS, FoldedConvolutions, fold


def pair(groups: int = 1, bias: bool = False, affine: bool = True, seed: int = 0) -> nn.ModuleDict:
    """A convolution and a batch norm whose numbers are none of the initial ones."""
    rng = torch.Generator().manual_seed(seed)
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups, bias=bias)
    norm = nn.BatchNorm2d(6, affine=affine)
    with torch.no_grad():
        for tensor in (*conv.parameters(), *norm.parameters(), norm.running_mean):
            tensor.copy_(torch.randn(tensor.shape, generator=rng))
        norm.running_var.copy_(torch.rand(6, generator=rng) + 0.5)
    return nn.ModuleDict({"conv": conv, "norm": norm}).eval()


def plain(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    result: Tensor = layers["norm"](layers["conv"](x))
    return result


@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"bias": True}, {"affine": False}])
@pytest.mark.parametrize("grad", [False, True])  # with gradients on, oneDNN's own order is not used
def test_same_numbers(options: dict[str, bool], grad: bool) -> None:
    layers, x, rest = pair(**options), torch.randn(2, 4, 7, 8), torch.randn(2, 6, 4, 4)
    run = FoldedConvolutions()
    both = layers["conv"], layers["norm"]
    with torch.set_grad_enabled(grad):
        for images in (x, x.contiguous(memory_format=torch.channels_last)):
            wanted = plain(layers, images)
            for relu, onto in ((False, False), (True, False), (False, True), (True, True)):
                memory = rest.clone(memory_format=torch.channels_last)
                got = run(*both, images, relu, memory if onto else None)
                expected = wanted + rest if onto else wanted
                expected = expected.relu() if relu else expected
                torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
                assert not onto or got is memory


def test_other_sizes_use_the_same_kernel() -> None:
    layers, run = pair(), FoldedConvolutions()
    for size in ((7, 8), (13, 5), (64, 32)):
        x = torch.randn(3, 4, *size)
        with torch.no_grad():
            got = run(layers["conv"], layers["norm"], x)
            torch.testing.assert_close(got, plain(layers, x), rtol=1e-5, atol=1e-5)
    assert len(run._kept) == 1


def test_kernels_of_1x1_are_in_the_order_for_their_images() -> None:
    """One in the order for others takes up to twenty times the time; not many are kept."""
    conv, norm, run = nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16).eval(), FoldedConvolutions()
    with torch.no_grad():
        for number in range(1, ORDERS + 3):
            for size in ((6, 7), (3, 2)):
                x = torch.randn(number, 8, *size)
                torch.testing.assert_close(run(conv, norm, x), norm(conv(x)), rtol=1e-5, atol=1e-5)
                assert run.folded(conv, norm, x)[0] is run.folded(conv, norm, x)[0]
    assert len(run._kept[conv][1]) == ORDERS
    if onednn.AVAILABLE:
        assert (torch.get_num_threads(), *x.shape) in run._kept[conv][1]


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers.load_state_dict(pair(seed=1).state_dict()),
        lambda layers: layers["norm"].running_mean.add_(1),
        lambda layers: nn.init.constant_(layers["conv"].weight, 0.1),
        lambda layers: setattr(layers["norm"], "weight", nn.Parameter(torch.full((6,), 3.0))),
        lambda layers: setattr(layers["norm"].bias, "data", torch.full((6,), 3.0)),
        lambda layers: setattr(layers["norm"], "eps", 0.5),
        lambda layers: layers.double(),
    ],
)
def test_a_change_of_weights_is_seen(change: Callable[[nn.ModuleDict], object]) -> None:
    layers, x = pair(), torch.randn(1, 4, 6, 6)
    run = FoldedConvolutions()
    with torch.no_grad():
        before = run(layers["conv"], layers["norm"], x)
    both = layers["conv"], layers["norm"], x
    assert run.folded(*both)[0] is run.folded(*both)[0]
    with torch.no_grad():
        change(layers)
        x = x.to(layers["conv"].weight.dtype)
        after = run(layers["conv"], layers["norm"], x)
    torch.testing.assert_close(after, plain(layers, x), rtol=1e-5, atol=1e-5)
    assert after.dtype == torch.float64 or not torch.allclose(before, after)


def test_no_part_of_copies_and_pickles() -> None:
    layers, run = pair(), FoldedConvolutions()
    run.folded(layers["conv"], layers["norm"], torch.zeros(1, 4, 6, 6))
    for other in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert not other._kept


def test_a_norm_that_depends_on_the_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="without running statistics"):
        fold(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))
