"""Images of one colour outside a box: a pass of a residual network that makes only what the box can change.

A masked image (IM, the second half of Hybrid Masking) shows its object on a plain ground. Everywhere beyond
the reach of the object, maps are those of an image that is nothing but ground, which are made once for all
images of a size. What is left is an exact rewrite: a convolution over a part of a map, with around it what
belongs there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.folding import FoldedConvolutions

WHOLE = 0.8
"""Share of a map above which the rest is made of it whole."""

GRID = 16
"""Every so many pixels a photo is looked at first: enough to see that it is one."""

MOST = 0.5
"""Share of an image's area above which a box isn't worth the trouble."""


class Box(NamedTuple):
    """Rows and columns of a map, half open."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Positions in it."""
        return (self.bottom - self.top) * (self.right - self.left)

    def of(self, x: Tensor) -> Tensor:
        """That part of a map (N, C, H, W), a view."""
        return x[..., self.top : self.bottom, self.left : self.right]

    def within(self, outer: Box) -> Box:
        """The same box, counted from another's corner."""
        y, x = outer.top, outer.left
        return Box(self.top - y, self.bottom - y, self.left - x, self.right - x)


def box_of(image: Tensor) -> tuple[Box, Tensor] | None:
    """The smallest box outside of which an image (1, 3, H, W) has the colour of one of its corners.

    Returns:
        The box and the colour (3); None where the box is more than `MOST` of the image, or empty.

    Example:
        >>> image = torch.zeros(1, 3, 9, 8)
        >>> image[:, 1, 2:5, 3:7] = 1
        >>> box_of(image)[0]
        Box(top=2, bottom=5, left=3, right=7)
    """
    most = MOST * image[0, 0].numel()
    for corner in image[0, :, :: image.shape[2] - 1, :: image.shape[3] - 1].flatten(1).unbind(1):
        few = _extent(image[0, :, ::GRID, ::GRID], corner)
        if few and (GRID * (few.bottom - few.top - 1) + 1) * (GRID * (few.right - few.left - 1) + 1) > most:
            continue
        box = _extent(image[0], corner)
        if box and box.area <= most:
            return box, corner
    return None


def _extent(image: Tensor, colour: Tensor) -> Box | None:
    """The smallest box with all positions of an image (3, H, W) that are of another colour."""
    other = (image != colour[:, None, None]).any(dim=0)
    rows, columns = (other.any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
    return Box(rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if rows else None


def reached(box: Box, window: nn.Conv2d | nn.MaxPool2d, size: Sequence[int]) -> Box:
    """Which outputs of a convolution or pooling, (H, W) of them, see any position of the box."""
    kernel, stride, padding = (_side(getattr(window, name)) for name in ("kernel_size", "stride", "padding"))

    def side(start: int, stop: int, most: int) -> tuple[int, int]:
        return max(0, -(-(start + padding - kernel + 1) // stride)), min(
            most, (stop - 1 + padding) // stride + 1
        )

    return Box(*side(box.top, box.bottom, size[0]), *side(box.left, box.right, size[1]))


def seen(box: Box, window: nn.Conv2d | nn.MaxPool2d) -> Box:
    """Which inputs the outputs of a box see; those beyond the map's border count."""
    kernel, stride, padding = (_side(getattr(window, name)) for name in ("kernel_size", "stride", "padding"))

    def side(start: int, stop: int) -> tuple[int, int]:
        return start * stride - padding, (stop - 1) * stride - padding + kernel

    return Box(*side(box.top, box.bottom), *side(box.left, box.right))


def clipped(box: Box, size: Sequence[int]) -> Box:
    """What of the box lies on a map (H, W)."""
    return Box(max(0, box.top), min(size[0], box.bottom), max(0, box.left), min(size[1], box.right))


def padded(part: Tensor, clip: Box, box: Box) -> Tensor:
    """The map's part of a box of which ``clip`` lies on the map, with zeros where it does not."""
    margins = clip.left - box.left, box.right - clip.right, clip.top - box.top, box.bottom - clip.bottom
    part = F.pad(part, margins) if any(margins) else part
    return part.contiguous(memory_format=torch.channels_last)


def sums_around(net: Any, image: Tensor, box: Box, ground: Sequence[Tensor]) -> Iterator[Tensor]:
    """What the blocks of a `hmseg.backbones.ResNetBackbone` give of an image of one colour outside a box.

    Args:
        net: the backbone.
        image: (1, 3, H, W).
        box: its part that has other colours.
        ground: the first block's input and each block's sum, of an image that is nothing but that colour.

    Yields:
        The like of ``ground``. Those of layer 1 that are no maps are empty: nobody needs them.
    """
    part, box = _stem(net, image, box, ground[0].shape[-2:])
    yield part.new_empty(0)
    for index, (block, before, after) in enumerate(zip(net.blocks, ground[:-1], ground[1:], strict=True)):
        part, box = _block(net.convolve, block, part, box, before)
        is_map = index + 1 >= len(net.layer1)
        whole = box.area > WHOLE * after[0, 0].numel()
        if not is_map and not whole:
            yield part.new_empty(0)
            continue
        full = after.clone()
        box.of(full).copy_(part)
        yield full
        if whole:
            yield from net.sums_from(index + 1, full)
            return


def _stem(net: Any, image: Tensor, box: Box, size: Sequence[int]) -> tuple[Tensor, Box]:
    """The part of the first block's input (H, W) that the box reaches, and where it is."""
    whole = image.shape[-2:]
    inner = reached(box, net.conv1, outputs(whole, net.conv1))
    outer = reached(inner, net.maxpool, size)
    window = seen(outer, net.maxpool)
    inner = clipped(window, outputs(whole, net.conv1))
    look = seen(inner, net.conv1)
    clip = clipped(look, whole)
    x = net.convolve(net.conv1, net.bn1, padded(clip.of(image), clip, look), relu=True, padded=True)
    # Behind a ReLU nothing is less than the zeros around.
    x = F.max_pool2d(padded(x, inner, window), net.maxpool.kernel_size, net.maxpool.stride)
    return x, outer


def _block(
    convolve: FoldedConvolutions, block: Any, part: Tensor, box: Box, before: Tensor
) -> tuple[Tensor, Box]:
    """A bottleneck up to its last ReLU: the part of its sum that the box reaches, and where it is.

    Args:
        convolve: the backbone's.
        block: the bottleneck.
        part: of the sum of the block before, what lies in ``box``.
        box: where.
        before: that sum, of nothing but ground.
    """
    size = outputs(before.shape[-2:], block.conv1)
    outer = reached(reached(box, block.conv1, size), block.conv2, outputs(size, block.conv2))
    window = seen(outer, block.conv2)
    inner = clipped(window, size)
    look = seen(inner, block.conv1)
    x = look.of(before).clone(memory_format=torch.channels_last)
    common = clipped(box.within(look), x.shape[-2:])
    common.of(x).copy_(common.within(box.within(look)).of(part))
    x.relu_()
    out = convolve(block.conv1, block.bn1, x, relu=True, padded=True)
    out = convolve(block.conv2, block.bn2, padded(out, inner, window), relu=True, padded=True)
    direct = outer if block.downsample is None else seen(outer, block.downsample[0])
    shortcut = direct.within(look).of(x).contiguous(memory_format=torch.channels_last)
    if block.downsample is not None:
        shortcut = convolve(*block.downsample, shortcut, padded=True)
    return convolve(block.conv3, block.bn3, out, onto=shortcut, padded=True), outer


def outputs(size: Sequence[int], window: nn.Conv2d | nn.MaxPool2d) -> tuple[int, int]:
    """How many (H, W) a convolution or pooling gives of a map (H, W)."""
    kernel, stride, padding = (_side(getattr(window, name)) for name in ("kernel_size", "stride", "padding"))
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    return height, width


class Grounds:
    """The maps of an image of one colour, kept for the next image of its size.

    No part of a module's state, and made anew when a weight changes, as `hmseg.folding.FoldedConvolutions`.
    """

    def __init__(self) -> None:
        self._kept: tuple[Any, list[Tensor]] | None = None

    def __call__(
        self, ground: Tensor, weights: Any, make: Callable[[Tensor], Iterable[Tensor]]
    ) -> list[Tensor]:
        """The maps of an image of one colour.

        Args:
            ground: the image (1, 3, H, W).
            weights: what changes with those of the network.
            make: gives the maps where they aren't kept.
        """
        key = ground.shape, ground[0, :, 0, 0].tolist(), weights
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # frees it before others are made
            self._kept = key, list(make(ground))
        return self._kept[1]

    def __deepcopy__(self, memo: Any) -> Grounds:
        return Grounds()

    def __reduce__(self) -> tuple[type[Grounds], tuple[()]]:
        return Grounds, ()


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)
