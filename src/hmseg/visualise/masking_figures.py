"""What each masking leaves of a support, side by side, and where hybrid masking took which."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hmseg.data.episode import Episode
from hmseg.errors import ConfigError
from hmseg.masking import Masking
from hmseg.networks import FewShotNetwork
from hmseg.visualise.masking_arrays import four_maskings, masked_picture, masking_maps
from hmseg.visualise.pictures import (
    HEAT,
    enlarged,
    filled_over_photo,
    heat,
    outlined,
    share_colours,
    with_mask,
)
from hmseg.visualise.style import COLOURS, INK, QUIET, TRUTH, clear, readable, sheet, show
from hmseg.visualise.tensors import support

_ABOUT = {
    "none": "the whole image's features",
    "feature": "the same, masked",
    "input": "the masked image's features",
    "hybrid": "feature, filled by input",
}


def masking_sheet(
    network: FewShotNetwork,
    episode: Episode,
    level: int = 3,
    shot: int = 0,
    maskings: Mapping[str, Masking] | None = None,
    title: str = "",
) -> Figure:
    """A support, the masked image, and what is left of the features under each masking.

    Activations are comparable: one scale for all. The map of origins shows, position by position, how many of
    the channels hold the masked image's feature; it is paler where all do. `hmseg.visualise.masking_maps`
    gives the numbers.

    Args:
        network: gives backbone and head.
        episode: one episode, not a batch.
        level: pyramid level, one whose support maps the head takes.
        shot: which support.
        maskings: by name; None: none, feature, input and hybrid, with the options of the network's own. The
            last one's origins are drawn.
        title: of the sheet.

    Raises:
        ConfigError: the head does not look at supports at this level, or no masking came.
        DataError: a batch, or no such support.
    """
    image, mask = support(episode, shot)
    shown = dict(four_maskings(network.masking) if maskings is None else maskings)
    if not shown:
        raise ConfigError("no masking came: give at least one, or None for the four that are shipped")
    maps = masking_maps(network, image, mask, level, shown)
    most = max(float(np.percentile(each, 99.5)) for each in maps.activation.values())
    size, last = (mask.shape[0], mask.shape[1]), list(shown)[-1]
    with sheet(2, max(4, len(shown)), size[0] / size[1], title, colour_bars=1) as (figure, (top, bottom)):
        show(top[0], with_mask(image, mask, TRUTH), "support", f"object: {100 * mask.mean():.1f} % of it")
        show(top[1], masked_picture(image, mask, shown[last]), "masked image", "what input masking sees")
        show(top[2], outlined(filled_over_photo(image, maps.filled[last]), mask), f"{last}: where from")
        clear(top[3:])
        _share_bar(top[3], size[0] / size[1])
        for panel, (name, values) in zip(bottom, maps.activation.items(), strict=False):
            picture = outlined(heat(enlarged(values, size), most), mask)
            show(panel, picture, name, _ABOUT.get(name, ""), readable(COLOURS.get(name, INK)))
        clear(bottom[len(shown) :])
        inside = enlarged(maps.filled[last], size, smooth=False)[mask]
        if len(inside):
            top[2].set_xlabel(f"{100 * inside.mean():.0f} % of the object filled in")
        _activation_bar(figure, bottom, most, level, maps.activation[last].shape)
    return figure


def _share_bar(panel: Axes, ratio: float) -> None:
    """The scale of origins, upright in an empty panel as high as a picture."""
    panel.set_box_aspect(ratio)
    inner = panel.inset_axes((0.03, 0.02, 0.07, 0.96))
    inner.imshow(np.linspace(1, 0, 256)[:, None], cmap=share_colours(), aspect="auto", extent=(0, 1, 0, 1))
    inner.set_xticks([])
    inner.yaxis.tick_right()
    words = ["whole image", "half of the\nchannels each", "masked image"]
    inner.set_yticks([0.0, 0.5, 1.0], words, fontsize=8.5)
    for label, place in zip(inner.get_yticklabels(), ("bottom", "center", "top"), strict=True):
        label.set(verticalalignment=place, color=QUIET)
    inner.spines[:].set_visible(False)


def _activation_bar(
    figure: Figure, under: list[Axes], most: float, level: int, plane: tuple[int, ...]
) -> None:
    """The scale of activations, below their panels."""
    scale = ScalarMappable(Normalize(0, most), HEAT)
    bar = figure.colorbar(scale, ax=under, location="bottom", aspect=70, pad=0.04, fraction=0.05)
    bar.outline.set_visible(False)
    bar.set_label(f"activation, level {level}: {plane[0]} x {plane[1]} positions", fontsize=8.5, loc="left")
    bar.ax.tick_params(labelsize=8.5)
