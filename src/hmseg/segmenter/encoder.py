"""From pixels to what the network works on, and to its logits; where supports are encoded and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hmseg.data.transforms import normalise, resize_image, resize_mask
from hmseg.errors import DataError
from hmseg.networks import FewShotNetwork
from hmseg.networks.kept import KeptSupport, keep_support, segment
from hmseg.segmenter.device import computing
from hmseg.segmenter.images import Pixels
from hmseg.segmenter.masks import Mask


@dataclass(frozen=True, eq=False)
class Support:
    """One annotated image that a segmenter keeps.

    Attributes:
        image: (side, side, 3) uint8, as the network sees it.
        mask: (side, side) bool.
        size: height and width of the image as it came.
        kept: its masked features.
    """

    image: Pixels
    mask: Mask
    size: tuple[int, int]
    kept: KeptSupport


@dataclass(frozen=True, eq=False)
class Encoder:
    """A network with everything that says how images reach it.

    Attributes:
        network: in eval mode, on ``device``.
        side: of the squares that it sees, pixels.
        resize: ``pil`` or ``opencv``.
        device: where it runs.
        precision: of convolutions and products.
    """

    network: FewShotNetwork
    side: int
    resize: str
    device: torch.device
    precision: torch.dtype

    def support(self, image: Pixels, mask: Mask, what: str) -> Support:
        """Resizes and encodes a support.

        Args:
            image: (H, W, 3).
            mask: (H, W), not empty.
            what: the mask, for messages.

        Raises:
            DataError: the object is so small that nothing of it is left at the network's size.
        """
        height, width = image.shape[:2]
        small = resize_mask(mask, (self.side, self.side)).numpy()
        if not small.any():
            raise DataError(
                f"{what}: its {int(mask.sum())} pixels are lost when the image of {width}x{height} is "
                f"resized to {self.side}x{self.side}: cut the image to the object, or take a larger side"
            )
        square = resize_image(image, (self.side, self.side), self.resize).permute(1, 2, 0).numpy()
        return Support(square, small, (height, width), self.kept(square, small))

    def kept(self, image: Pixels, mask: Mask) -> KeptSupport:
        """Encodes a support of the network's size."""
        with computing(self.device, self.precision):
            shown = torch.from_numpy(mask).to(self.device)
            return keep_support(self.network, self.squares([image])[0], shown)

    def logits(self, images: Sequence[Pixels], by_class: Sequence[Sequence[Support]]) -> list[Tensor]:
        """For each class (B, K, 2, side, side); the B images pass the backbone once for all classes."""
        with computing(self.device, self.precision):
            query = self.network.encode_query(self.squares(images))
            kept = [[each.kept for each in supports] for supports in by_class]
            return [segment(self.network, query, each, (self.side, self.side)) for each in kept]

    def squares(self, images: Sequence[Pixels]) -> Tensor:
        """(B, 3, side, side), resized and normalised, on the device."""
        square = (self.side, self.side)
        stacked = torch.stack([resize_image(each, square, self.resize) for each in images])
        return normalise(stacked.to(self.device))
