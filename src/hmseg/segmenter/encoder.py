"""From pixels to what the network works on, and to its logits; where supports are encoded and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hmseg.data.transforms import normalise, resize_image, resize_mask
from hmseg.errors import DataError
from hmseg.networks import FewShotNetwork
from hmseg.networks.kept import KeptSupport, keep_support, segment
from hmseg.segmenter.device import computing
from hmseg.segmenter.images import Pixels
from hmseg.segmenter.masks import Mask
from hmseg.segmenter.presence import presence


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


class Answer(NamedTuple):
    """What the network says of one class in B images.

    Attributes:
        logits: (B, K, 2, side, side).
        presence: how present the class is in each, see :func:`hmseg.segmenter.presence.presence`.
    """

    logits: Tensor
    presence: list[float]


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

    def answers(self, images: Sequence[Pixels], by_class: Sequence[Sequence[Support]]) -> list[Answer]:
        """One for each class; the B images pass the backbone once for all."""
        with computing(self.device, self.precision):
            query = self.network.encode_query(self.squares(images))
            answers = []
            for supports in by_class:
                kept = [each.kept for each in supports]
                logits = segment(self.network, query, kept, (self.side, self.side))
                answers.append(Answer(logits, presence(self.network, query, kept, logits)))
            return answers

    def squares(self, images: Sequence[Pixels]) -> Tensor:
        """(B, 3, side, side), resized and normalised, on the device."""
        square = (self.side, self.side)
        stacked = torch.stack([resize_image(each, square, self.resize) for each in images])
        return normalise(stacked.to(self.device))
