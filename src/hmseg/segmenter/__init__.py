"""Segment your own images from a few annotated ones: ``Segmenter``, its inputs and its result."""

from hmseg.annotations.outlines import Box, Outline, Polygon, Scribble
from hmseg.segmenter.encoder import Support
from hmseg.segmenter.images import ImageLike
from hmseg.segmenter.masks import MaskLike
from hmseg.segmenter.segmentation import Segmentation
from hmseg.segmenter.segmenter import Segmenter

__all__ = [
    "Box",
    "ImageLike",
    "MaskLike",
    "Outline",
    "Polygon",
    "Scribble",
    "Segmentation",
    "Segmenter",
    "Support",
]
