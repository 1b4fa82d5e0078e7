"""Which support positions a point of the query resembles."""

from __future__ import annotations

from matplotlib.figure import Figure

from hmseg.data.episode import Episode
from hmseg.data.transforms import resize_mask
from hmseg.masking import Masking
from hmseg.networks import FewShotNetwork
from hmseg.visualise.correlation_arrays import correlation_maps
from hmseg.visualise.pictures import outlined, over_photo
from hmseg.visualise.style import COLOURS, sheet, show
from hmseg.visualise.tensors import check_single, pixels, point_inside, query_and_truth, support

_DEPTH = {1: "shallowest", 2: "shallow", 3: "middle", 4: "deep"}


def correlation_sheet(
    network: FewShotNetwork,
    episode: Episode,
    point: tuple[int, int] | None = None,
    shot: int = 0,
    masking: Masking | None = None,
    title: str = "",
) -> Figure:
    """The query with a point in it, and what of the support correlates with it at each level.

    Each level has a scale of its own, up to its largest value, which stands below it.

    Args:
        network: gives backbone, head and masking.
        episode: one episode, not a batch.
        point: (x, y) in the query's pixels, as the network sees it; None: deep inside the object.
        shot: which support.
        masking: of the support; None: the network's own.
        title: of the sheet.

    Raises:
        DataError: a batch, no such support, or a point outside the query.
    """
    query = pixels(check_single(episode).query_image)
    image, mask = support(episode, shot)
    if point is None:
        point = point_inside(resize_mask(query_and_truth(episode)[1], query.shape[:2]).numpy())
    maps = correlation_maps(network, query, image, mask, point, masking)
    with sheet(1, 1 + len(maps), query.shape[0] / query.shape[1], title) as (figure, ((first, *others),)):
        show(first, query, "query", f"the point ({point[0]}, {point[1]})")
        for size, colour, width in ((13, "white", 3.5), (12, COLOURS["input"], 2.0)):
            first.plot(
                *point, "o", color=colour, markersize=size, markeredgewidth=width, markerfacecolor="none"
            )
        for panel, (level, values) in zip(others, maps.items(), strict=True):
            most = float(values.max())
            picture = outlined(over_photo(image, values, most), mask)
            words = f"up to {most:.2f}, {values.shape[0]} x {values.shape[1]} positions"
            show(panel, picture, f"level {level}, {_DEPTH.get(level, '')}", words)
    return figure
