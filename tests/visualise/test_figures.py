"""Figures hold the pictures, words and numbers that they should."""

from __future__ import annotations

import io
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from hmseg.data.episode import Episode
from hmseg.errors import ConfigError, DataError
from hmseg.masking import HybridMasking, build_masking
from hmseg.networks import FewShotNetwork, HSNetHead
from hmseg.visualise import (
    Shown,
    correlation_maps,
    correlation_sheet,
    enlarged,
    episode_sheet,
    failure_gallery,
    heat,
    iou,
    masking_maps,
    masking_sheet,
    one_of,
    over_photo,
    pixels,
    point_inside,
    predicted,
    with_mask,
)
from hmseg.visualise.pictures import filled_over_photo, outlined
from hmseg.visualise.style import COLOURS, TRUTH
from tiny import TinyBackbone, tiny_batch, tiny_network


def episode(shots: int = 1, seed: int = 0) -> Episode:
    return one_of(tiny_batch(seed=seed, shots=shots, size=(64, 48)))


def network() -> FewShotNetwork:
    backbone = TinyBackbone()
    return FewShotNetwork(backbone, build_masking("hybrid"), HSNetHead(backbone.feature_info)).eval()


def titles(figure: Figure) -> list[str]:
    return [each.get_title(loc="left") for each in figure.axes if each.get_title(loc="left")]


def panel(figure: Figure, title: str) -> Axes:
    (found,) = (each for each in figure.axes if each.get_title(loc="left") == title)
    return found


def picture(figure: Figure, title: str) -> np.ndarray:
    return np.asarray(panel(figure, title).images[0].get_array())


def drawn(figure: Figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))


def test_an_episode_shows_supports_truth_and_predictions() -> None:
    one = episode(shots=2)
    mask = predicted(tiny_network(), one)
    figure = episode_sheet(one, {"hybrid": mask, "mine": ~mask}, title="A title with a $ and a_b")
    assert titles(figure) == ["support 1 of 2", "support 2 of 2", "query", "truth", "hybrid", "mine"]
    query, truth, void = pixels(one.query_image), one.query_mask.numpy(), one.query_void.numpy()
    assert (picture(figure, "query") == query).all()
    assert (picture(figure, "truth") == with_mask(query, truth, TRUTH, void)).all()
    assert (picture(figure, "hybrid") == with_mask(query, mask, COLOURS["hybrid"], void)).all()
    support = with_mask(pixels(one.support_images[1]), one.support_masks[1].numpy(), TRUTH)
    assert (picture(figure, "support 2 of 2") == support).all()
    counted = ~void
    expected = 100 * (mask & truth & counted).sum() / ((mask | truth) & counted).sum()
    assert panel(figure, "hybrid").get_xlabel() == f"IoU {expected:.1f}"
    shown = drawn(figure)
    assert (shown == np.array([0x23, 0x93, 0x5A])).all(axis=2).any()  # hybrid's outline is on the paper


def test_truth_of_the_querys_own_size_loses_its_padding() -> None:
    truth = torch.zeros(100, 90, dtype=torch.bool)
    truth[20:40, 10:60] = True
    void = torch.ones(100, 90, dtype=torch.bool)
    void[:80, :70] = False
    one = episode()._replace(query_mask=truth, query_void=void, query_size=torch.tensor((80, 70)))
    prediction = truth[:80, :70].numpy()
    figure = episode_sheet(one, {"perfect": prediction})
    assert picture(figure, "query").shape == picture(figure, "truth").shape == (80, 70, 3)
    assert panel(figure, "perfect").get_xlabel() == "IoU 100.0"


def test_more_supports_than_there_is_room_for() -> None:
    assert titles(episode_sheet(episode(shots=7)))[4:] == ["support 5 of 7", "query", "truth"]


def test_a_masking_sheet_shows_each_maskings_map() -> None:
    one, built = episode(), network()
    figure = masking_sheet(built, one, level=3, title="Level 3")
    assert titles(figure) == [
        "support", "masked image", "hybrid: where from", "none", "feature", "input", "hybrid",
    ]  # fmt: skip
    image, mask = pixels(one.support_images[0]), one.support_masks[0].numpy()
    maps = masking_maps(built, image, mask, 3)
    most = max(np.percentile(each, 99.5) for each in maps.activation.values())
    for name, values in maps.activation.items():
        expected = outlined(heat(enlarged(values, (64, 48)), most), mask)
        assert (picture(figure, name) == expected).all(), name
    assert (
        picture(figure, "hybrid: where from")
        == outlined(filled_over_photo(image, maps.filled["hybrid"]), mask)
    ).all()
    share = enlarged(maps.filled["hybrid"], (64, 48), smooth=False)[mask].mean()
    assert panel(figure, "hybrid: where from").get_xlabel() == f"{100 * share:.0f} % of the object filled in"
    assert any("level 3: 8 x 6 positions" in each.get_xlabel() for each in figure.axes)
    assert figure.get_suptitle() == "Level 3"
    drawn(figure)  # no warning that something has no room


def test_maskings_of_ones_own_have_a_panel_each() -> None:
    own = {f"mine {n}": HybridMasking(threshold=float(n)) for n in range(5)}
    figure = masking_sheet(network(), episode(shots=2), level=4, shot=1, maskings=own)
    assert titles(figure)[2:] == ["mine 4: where from", *own]
    with pytest.raises(ConfigError, match="no masking came"):
        masking_sheet(network(), episode(), maskings={})


def test_a_correlation_sheet_marks_the_point_and_shows_every_level() -> None:
    one, built = episode(), network()
    figure = correlation_sheet(built, one, (40, 12))
    assert titles(figure) == ["query", "level 4, deep", "level 3, middle", "level 2, shallow"]
    for line in panel(figure, "query").lines:
        assert (line.get_xdata(), line.get_ydata()) == ([40], [12])
    image, mask = pixels(one.support_images[0]), one.support_masks[0].numpy()
    maps = correlation_maps(built, pixels(one.query_image), image, mask, (40, 12))
    for level, title in ((4, "level 4, deep"), (2, "level 2, shallow")):
        most = float(maps[level].max())
        assert (picture(figure, title) == outlined(over_photo(image, maps[level], most), mask)).all()
        assert f"up to {most:.2f}" in panel(figure, title).get_xlabel()
    inside = point_inside(one.query_mask.numpy())
    assert one.query_mask[inside[1], inside[0]]
    assert panel(correlation_sheet(built, one), "query").get_xlabel() == f"the point {inside}"


def test_the_gallery_is_sorted_and_tells_iou_and_class() -> None:
    shown = []
    for n in range(8):
        one = episode(seed=n)._replace(index=torch.tensor(n))
        mask = one.query_mask.numpy().copy()
        rows = np.flatnonzero(mask.any(axis=1))
        mask[rows[: n * len(rows) // 8]] = False  # the later, the worse
        shown.append(Shown(one, mask))
    figure = failure_gallery(shown, count=2, class_name={3: "cat", 7: "dog"}.__getitem__)
    kinds = [each.get_ylabel() for each in figure.axes if each.get_ylabel()]
    assert kinds == ["worst", "worst", "median", "median", "best", "best"]
    values = [
        float(each.get_xlabel().removeprefix("IoU "))
        for each in figure.axes
        if each.get_title(loc="left") == "prediction"
    ]
    expected = sorted(iou(each.prediction, each.episode.query_mask.numpy()) for each in shown)
    assert values[0] == pytest.approx(expected[0], abs=0.1) and values[4] == pytest.approx(100)
    assert all(a <= b for a, b in pairwise(values[:2])) and max(values[:2]) < min(values[2:4])
    queries = [each.get_xlabel() for each in figure.axes if each.get_title(loc="left") == "query"]
    assert queries[0] == "dog, episode 7" and queries[4] == "cat, episode 0"
    only = failure_gallery(shown, count=1, kinds=("worst",))
    assert [each.get_ylabel() for each in only.axes if each.get_ylabel()] == ["worst"]


def test_what_does_not_fit_is_refused() -> None:
    one = episode()
    with pytest.raises(DataError, match=r"one_of\(batch, 0\)"):
        episode_sheet(tiny_batch())
    with pytest.raises(DataError, match="hybrid has a mask of"):
        episode_sheet(one, {"hybrid": np.zeros((3, 3), dtype=bool)})
    with pytest.raises(DataError, match="support 1 was asked for, the episode has 1"):
        masking_sheet(network(), one, shot=1)
    with pytest.raises(DataError, match="three or more"):
        failure_gallery([Shown(one, one.query_mask.numpy())] * 2)
    with pytest.raises(DataError, match="expected some of best, median, worst"):
        failure_gallery([], kinds=("wurst",))


def test_nothing_is_left_with_pyplot_and_colours_need_no_torch() -> None:
    script = (
        "import sys, hmseg.visualise.style, hmseg.visualise.pictures, hmseg.visualise.choosing;"
        "print(sorted({'torch', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
