"""An episode with predictions beside the truth, and the best, median and worst of many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hmseg.data.episode import Episode
from hmseg.errors import DataError
from hmseg.visualise.choosing import KINDS, choose
from hmseg.visualise.pictures import Mask, with_mask
from hmseg.visualise.style import COLOURS, INK, MORE, TRUTH, clear, readable, sheet, show
from hmseg.visualise.tensors import check_single, iou, query_and_truth, support

MAX_SUPPORTS = 5
"""Drawn of an episode; a sixth and later ones are counted only."""


class Shown(NamedTuple):
    """An episode and the mask (H, W) bool that a network made of its query."""

    episode: Episode
    prediction: Mask


def episode_sheet(episode: Episode, predictions: Mapping[str, Mask] | None = None, title: str = "") -> Figure:
    """Supports, query and truth, and the predictions with their IoU.

    What is outside a mask is paler; grey pixels don't count.

    Args:
        episode: one episode, not a batch.
        predictions: masks (H, W) bool of the truth's size by the method's name; the four maskings' names have
            their colours.
        title: of the sheet.

    Raises:
        DataError: a batch, or a prediction of another size.

    Example:
        >>> from hmseg.data.dataset import EpisodeDataset
        >>> from hmseg.data.episode import EpisodeSpec
        >>> from hmseg.data.shapes import ShapesSource
        >>> dataset = EpisodeDataset(ShapesSource(image_size=64), size=(64, 64))
        >>> episode = dataset[0, EpisodeSpec(0, "val_000000", ("val_000020",))]
        >>> figure = episode_sheet(episode, {"hybrid": episode.query_mask.numpy()})
        >>> [each.get_title(loc="left") for each in figure.axes]
        ['support', 'query', 'truth', 'hybrid']
    """
    given = predictions or {}
    shots = len(check_single(episode).support_images)
    columns = min(shots, MAX_SUPPORTS) + 2 + len(given)
    height, width = episode.query_image.shape[1:]
    with sheet(1, columns, height / width, title) as (figure, ((*panels,),)):
        _draw(panels, episode, given, "")
    return figure


def _draw(panels: Sequence[Axes], episode: Episode, predictions: Mapping[str, Mask], below: str) -> None:
    """Supports, query, truth, predictions, one panel each; ``below`` stands under the query."""
    rest = iter(panels)
    shots = len(episode.support_images)
    for shot in range(min(shots, MAX_SUPPORTS)):
        image, mask = support(episode, shot)
        name = "support" if shots == 1 else f"support {shot + 1} of {shots}"
        show(next(rest), with_mask(image, mask, TRUTH), name, _share(mask))
    query, truth, void = query_and_truth(episode)
    show(next(rest), query, "query", below)
    show(next(rest), with_mask(query, truth, TRUTH, void), "truth", _share(truth))
    for name, colour in _colours(list(predictions)).items():
        mask = _fitting(predictions[name], truth, name)
        words = f"IoU {iou(mask, truth, void):.1f}"
        show(next(rest), with_mask(query, mask, colour, void), name, words, readable(colour))
    clear(list(rest))


def failure_gallery(
    episodes: Sequence[Shown],
    count: int = 2,
    class_name: Callable[[int], str] = "class {}".format,
    title: str = "",
    kinds: Sequence[str] = ("worst", "median", "best"),
) -> Figure:
    """The worst, median and best of many episodes by IoU, one row each.

    Of equal IoUs the larger object counts as worse; episodes without an object are left out.

    Args:
        episodes: at least three, all with predictions of the truth's size.
        count: rows of each kind; fewer where there are fewer than three times as many episodes.
        class_name: from an episode's class to its name, such as ``source.class_names.__getitem__``.
        title: of the sheet.
        kinds: which are drawn, and in which order.

    Raises:
        DataError: fewer than three episodes with an object, or a prediction of another size.
    """
    if strange := set(kinds) - set(KINDS):
        raise DataError(f"kinds are {sorted(strange)}: expected some of {', '.join(KINDS)}")
    scored = []
    for place, (episode, prediction) in enumerate(episodes):
        _, truth, void = query_and_truth(episode)
        mask = _fitting(prediction, truth, f"prediction {place}")
        scored.append((place, iou(mask, truth, void), int((truth & ~void).sum())))
    chosen = sorted(
        (one for one in choose(scored, count) if one.kind in kinds), key=lambda one: kinds.index(one.kind)
    )
    if not chosen:
        raise DataError(
            f"{sum(size > 0 for *_, size in scored)} episodes with an object came: a gallery takes three or "
            "more"
        )
    shown = [episodes[one.episode] for one in chosen]
    columns = max(min(len(each.episode.support_images), MAX_SUPPORTS) for each in shown) + 3
    height, width = shown[0].episode.query_image.shape[1:]
    with sheet(len(chosen), columns, height / width, title) as (figure, rows):
        for panels, one, (episode, prediction) in zip(rows, chosen, shown, strict=True):
            about = f"{class_name(int(episode.class_id))}, episode {int(episode.index)}"
            _draw(panels, episode, {"prediction": prediction}, about)
            panels[0].set_ylabel(one.kind, color=INK, fontsize=10, fontweight="bold")
    return figure


def _colours(names: Sequence[str]) -> dict[str, str]:
    """A masking's own colour where its name begins a method's, else the next of the others."""
    others = iter(MORE * len(names))
    return {name: COLOURS.get(name.split()[0] if name.split() else "") or next(others) for name in names}


def _share(mask: Mask) -> str:
    return f"{100 * mask.mean():.1f} % of the image"


def _fitting(mask: Mask, truth: Mask, name: str) -> Mask:
    if mask.shape != truth.shape:
        raise DataError(
            f"{name} has a mask of {mask.shape}, the episode's truth is of {truth.shape}: the same size was "
            "expected"
        )
    return mask > 0
