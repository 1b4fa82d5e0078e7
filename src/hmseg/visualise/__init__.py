"""Figures as functions: an episode and what a network makes of it in, a matplotlib figure out.

Beneath the figures are plain arrays (:func:`masking_maps`, :func:`correlation_map`) and pictures of them
(:func:`with_mask`, :func:`heat`, :func:`over_photo`), for pages that draw for themselves. No figure belongs
to pyplot, so nothing needs closing. Names are loaded when first used, so that colours can be had without
PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmseg.visualise.correlation_arrays import correlation_map, correlation_maps, point_maps
    from hmseg.visualise.correlation_figures import correlation_sheet
    from hmseg.visualise.episode_figures import Shown, episode_sheet, failure_gallery
    from hmseg.visualise.masking_arrays import MaskingMaps, four_maskings, masked_picture, masking_maps
    from hmseg.visualise.masking_figures import masking_sheet
    from hmseg.visualise.pictures import enlarged, filled_over_photo, heat, outline, over_photo, with_mask
    from hmseg.visualise.tensors import iou, one_of, pixels, point_inside, predicted

_HOME = {
    "MaskingMaps": "masking_arrays",
    "Shown": "episode_figures",
    "correlation_map": "correlation_arrays",
    "correlation_maps": "correlation_arrays",
    "correlation_sheet": "correlation_figures",
    "enlarged": "pictures",
    "episode_sheet": "episode_figures",
    "failure_gallery": "episode_figures",
    "filled_over_photo": "pictures",
    "four_maskings": "masking_arrays",
    "heat": "pictures",
    "iou": "tensors",
    "masked_picture": "masking_arrays",
    "masking_maps": "masking_arrays",
    "masking_sheet": "masking_figures",
    "one_of": "tensors",
    "outline": "pictures",
    "over_photo": "pictures",
    "pixels": "tensors",
    "point_inside": "tensors",
    "point_maps": "correlation_arrays",
    "predicted": "tensors",
    "with_mask": "pictures",
}

__all__ = [
    "MaskingMaps",
    "Shown",
    "correlation_map",
    "correlation_maps",
    "correlation_sheet",
    "enlarged",
    "episode_sheet",
    "failure_gallery",
    "filled_over_photo",
    "four_maskings",
    "heat",
    "iou",
    "masked_picture",
    "masking_maps",
    "masking_sheet",
    "one_of",
    "outline",
    "over_photo",
    "pixels",
    "point_inside",
    "point_maps",
    "predicted",
    "with_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hmseg.visualise' has no attribute '{name}'")
    return getattr(import_module(f"hmseg.visualise.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
