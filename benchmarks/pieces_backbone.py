"""The pieces of a backbone's pass that `pieces.py` measures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from winograd import winograd

from hmseg.folding import FoldedConvolutions, fold

Ways = dict[str, Callable[[], Tensor]]
CHANNELS_LAST = torch.channels_last


def backbone_pieces(scale: int) -> dict[str, tuple[Tensor, Ways]]:
    """A 1x1 and a 3x3 convolution of ResNet-50 with batch norm and ReLU, for one image and for three."""
    found: dict[str, tuple[Tensor, Ways]] = {}
    for channels, out, kernel, side in ((64, 256, 1, 100), (128, 128, 3, 50), (2048, 512, 1, 13)):
        conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
        norm = nn.BatchNorm2d(out).eval()
        for images in (1, 3):
            x = torch.randn(images, channels, side // scale, side // scale)
            with torch.no_grad():
                wanted = F.conv2d(x.double(), conv.weight.double(), padding=kernel // 2)
                wanted = (wanted / (1 + norm.eps) ** 0.5).relu()
            name = f"{kernel}x{kernel} convolution {channels} -> {out}, norm, ReLU, {images} image(s)"
            found[name] = wanted, convolution_ways(conv, norm, x)
    return found


def convolution_ways(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Ways:
    run, last = FoldedConvolutions(), x.contiguous(memory_format=CHANNELS_LAST)
    with torch.no_grad():
        kernel, bias = fold(conv, norm)
    plain = kernel.contiguous()
    tried: Ways = {}
    if conv.kernel_size == (3, 3):
        by_products = winograd(kernel, bias)
        tried["Winograd's algorithm by products"] = lambda: by_products(last)
    return {
        "plain": lambda: norm(conv(x)).relu_(),
        "norm folded": lambda: F.conv2d(x, plain, bias, padding=conv.padding).relu_(),  # type: ignore[arg-type]
        "and channels last": lambda: F.conv2d(last, kernel, bias, padding=conv.padding).relu_(),  # type: ignore[arg-type]
        "and oneDNN's order, ReLU in it (product)": lambda: run(conv, norm, last, relu=True),
        **tried,
    }


def order_pieces(scale: int) -> dict[str, tuple[Tensor, Ways]]:
    """A kernel kept in oneDNN's order for one image, and for the two that come."""
    conv, norm = nn.Conv2d(2048, 512, 1, bias=False), nn.BatchNorm2d(512).eval()
    x = torch.randn(2, 2048, 13 // scale, 13 // scale).contiguous(memory_format=CHANNELS_LAST)
    with torch.no_grad():
        wanted = F.conv2d(x.double(), conv.weight.double()) / (1 + norm.eps) ** 0.5
        kernel, bias = FoldedConvolutions().folded(conv, norm, x[:1])
    run, options = FoldedConvolutions(), ([0, 0], [1, 1], [1, 1], 1)

    def in_order_for_one() -> Tensor:
        if not kernel.is_mkldnn:
            return F.conv2d(x, kernel, bias)
        return torch.ops.mkldnn._convolution_pointwise(x, kernel, bias, *options, "none", [], "")  # type: ignore[no-any-return]

    ways: Ways = {
        "kernel in the order for one": in_order_for_one,
        "in the order for two (product)": lambda: run(conv, norm, x),
    }
    return {"1x1 convolution 2048 -> 512, norm, 2 images": (wanted, ways)}
