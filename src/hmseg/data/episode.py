"""The one type in which data and networks meet, and the plain-data recipe that it is made from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class EpisodeSpec(NamedTuple):
    """Which images make an episode: plain data, before anything is read.

    Attributes:
        class_id: 0-based class of the data set.
        query: name of the query image.
        supports: names of the K support images, in order.
    """

    class_id: int
    query: str
    supports: tuple[str, ...]

    def line(self) -> str:
        """One line ``CLASS QUERY SUPPORT...`` as the digests of REFERENCE section 10 take it.

        Example:
            >>> EpisodeSpec(3, "2007_000061", ("2007_005705",)).line()
            '3 2007_000061 2007_005705\\n'
        """
        return f"{self.class_id} {self.query} {' '.join(self.supports)}\n"


class Sample(NamedTuple):
    """One annotated image of one class, at its own size, as a source reads it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, true on the pixels of the class asked for.
        void: (H, W) bool, true on pixels that evaluation leaves out. Never true where ``mask`` is.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    void: NDArray[np.bool_]


class Episode(NamedTuple):
    """A query and its K supports; with a leading batch axis B once collated.

    Images travel as bytes (four times fewer than floats) and are normalised on the device.
    Query truth is held at the evaluation size (H', W'): the network's size (H, W), or, with
    original-size evaluation, the query's own size, padded with void to the largest of the batch.

    Attributes:
        query_image: (3, H, W) uint8.
        query_mask: (H', W') bool.
        query_void: (H', W') bool, left out of evaluation (padding included).
        support_images: (K, 3, H, W) uint8.
        support_masks: (K, H, W) bool.
        class_id: () int64, 0-based class of the data set.
        query_size: (2,) int64, height and width of the query before any resizing.
        index: () int64, position of the episode in its list.
    """

    query_image: Tensor
    query_mask: Tensor
    query_void: Tensor
    support_images: Tensor
    support_masks: Tensor
    class_id: Tensor
    query_size: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody calls
