"""Maps of maskings and correlations against the masking functions and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmseg.data.transforms import denormalise, normalise
from hmseg.errors import ConfigError, DataError
from hmseg.masking import HybridMasking, InputMasking, build_masking, feature_mask, hybrid_mask, input_mask
from hmseg.networks import FewShotNetwork, HSNetHead, VATHead
from hmseg.visualise import correlation_map, correlation_maps, four_maskings, masked_picture, masking_maps
from hmseg.visualise.correlation_arrays import position_of
from tiny import TinyBackbone

SIZE = (64, 48)


def network(masking: str = "hybrid", **options: object) -> FewShotNetwork:
    backbone = TinyBackbone()
    return FewShotNetwork(
        backbone, build_masking(masking, **options), HSNetHead(backbone.feature_info)
    ).eval()


@pytest.fixture
def support() -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    mask = np.zeros(SIZE, dtype=bool)
    mask[10:40, 8:30] = True
    image.flags.writeable = False  # nothing may be written into what the caller owns
    mask.flags.writeable = False
    return image, mask


def two_images(image: np.ndarray, mask: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    plain = normalise(torch.from_numpy(image.copy()).permute(2, 0, 1))[None]
    masks = torch.from_numpy(mask.copy())[None]
    return plain, input_mask(plain, masks), masks


def test_maps_are_what_the_masking_functions_leave(support: tuple[np.ndarray, np.ndarray]) -> None:
    plain, masked, masks = two_images(*support)
    backbone = TinyBackbone()
    for level, places in ((2, [0]), (3, [1, 2]), (4, [3])):
        maps = masking_maps(network(), *support, level)
        expected: dict[str, list[np.ndarray]] = {name: [] for name in maps.activation}
        filled = []
        for place in places:
            whole, filling = backbone(plain)[place], backbone(masked)[place]
            fm = feature_mask(whole, masks)
            found = {"none": whole, "feature": fm, "input": filling, "hybrid": hybrid_mask(fm, filling)}
            for name, each in found.items():
                expected[name].append(np.sqrt((each[0].numpy() ** 2).mean(axis=0)))
            filled.append((fm[0].numpy() <= 0).mean(axis=0))
        for name, planes in expected.items():
            np.testing.assert_allclose(maps.activation[name], np.mean(planes, axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(maps.filled["hybrid"], np.mean(filled, axis=0), atol=1e-6)
        assert maps.filled["hybrid"].min() < 1 == maps.filled["hybrid"].max()
        assert (maps.filled["feature"] == 0).all() and (maps.filled["none"] == 0).all()
        assert (maps.filled["input"] == 1).all()


def test_a_soft_choice_fills_by_its_weight(support: tuple[np.ndarray, np.ndarray]) -> None:
    plain, _, masks = two_images(*support)
    maps = masking_maps(network(threshold=0.2, mix=0.5), *support, 2)
    fm = feature_mask(TinyBackbone()(plain)[0], masks)[0].numpy()
    weight = np.tanh(np.maximum(fm - 0.2, 0) / 1.0)
    np.testing.assert_allclose(maps.filled["hybrid"], (1 - weight).mean(axis=0), atol=1e-5)


def test_levels_without_hybrid_masking_fill_nothing(support: tuple[np.ndarray, np.ndarray]) -> None:
    built = network(levels=[4])
    shallow, deep = (masking_maps(built, *support, level) for level in (2, 4))
    assert (shallow.filled["hybrid"] == 0).all() and (deep.filled["hybrid"] > 0).any()
    assert (shallow.activation["hybrid"] == shallow.activation["feature"]).all()


def test_options_of_the_networks_own_masking_count(support: tuple[np.ndarray, np.ndarray]) -> None:
    own = HybridMasking(fill="black", dilate=3)
    assert four_maskings(own)["hybrid"] is own and four_maskings(own)["input"] == InputMasking(
        fill="black", dilate=3
    )
    assert four_maskings(InputMasking(fill="black"))["hybrid"] == HybridMasking(fill="black")
    assert four_maskings(build_masking("none"))["hybrid"] == HybridMasking()
    mine = {"mine": HybridMasking(threshold=1e9), "no": build_masking("none")}
    maps = masking_maps(network(), *support, 4, mine)
    assert list(maps.activation) == ["mine", "no"] and (maps.filled["mine"] == 1).all()


def test_vat_has_the_planes_of_its_grid(support: tuple[np.ndarray, np.ndarray]) -> None:
    class Four(TinyBackbone):  # VAT takes levels 1 to 4; each level's plane is the grid's with FM only
        def __init__(self) -> None:
            super().__init__()
            levels = (1, 2, 3, 4)
            self.feature_info = tuple(
                each._replace(level=level) for each, level in zip(self.feature_info, levels, strict=True)
            )

    backbone = Four()
    built = FewShotNetwork(backbone, build_masking("hybrid"), VATHead(backbone.feature_info)).eval()
    maps = masking_maps(built, *support, 2)
    assert maps.activation["hybrid"].shape == (8, 6) != maps.activation["feature"].shape
    with pytest.raises(ConfigError, match="looks at supports at the levels 2, 3, 4"):
        masking_maps(built, *support, 1)


def test_correlations_are_clamped_cosines(support: tuple[np.ndarray, np.ndarray]) -> None:
    query = np.random.default_rng(2).integers(0, 256, (32, 80, 3), dtype=np.uint8)
    plain, masked, masks = two_images(*support)
    backbone = TinyBackbone()
    asked = backbone(normalise(torch.from_numpy(query).permute(2, 0, 1))[None])
    for masking, point in (("hybrid", (79, 0)), ("feature", (41, 30))):
        maps = correlation_maps(network(), query, *support, point, build_masking(masking))
        assert list(maps) == [4, 3, 2]
        for level, places in ((2, [0]), (3, [1, 2]), (4, [3])):
            slow = []
            for place in places:
                kept = feature_mask(backbone(plain)[place], masks)
                if masking == "hybrid":
                    kept = hybrid_mask(kept, backbone(masked)[place])
                q, s = asked[place][0].numpy(), kept[0].numpy()
                row = round(point[1] * (q.shape[1] - 1) / 31)
                column = round(point[0] * (q.shape[2] - 1) / 79)
                a = q[:, row, column]
                cosine = np.einsum("c,chw->hw", a, s) / (np.linalg.norm(a) + 1e-5)
                slow.append(np.maximum(cosine / (np.linalg.norm(s, axis=0) + 1e-5), 0))
            np.testing.assert_allclose(maps[level], np.mean(slow, axis=0), atol=1e-4)
    own = correlation_map(network("feature"), query, *support, (41, 30), 3)
    np.testing.assert_allclose(own, maps[3], atol=1e-6)


def test_corners_of_an_image_are_corners_of_a_plane() -> None:
    for x, y, expected in ((0, 0, (0, 0)), (79, 31, (3, 9)), (40, 15, (1, 5))):
        assert position_of((x, y), (32, 80), (4, 10)) == expected
    assert position_of((0, 0), (1, 1), (4, 4)) == (0, 0)


def test_the_masked_picture_is_what_the_backbone_sees(support: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = support
    published, black = masked_picture(image, mask), masked_picture(image, mask, InputMasking(fill="black"))
    assert (published[mask] == image[mask]).all() and (black[mask] == image[mask]).all()
    mean = denormalise(torch.zeros(3, 1, 1)).flatten().tolist()
    assert (published[~mask] == mean).all() and (black[~mask] == 0).all()


def test_what_does_not_fit_is_refused(support: tuple[np.ndarray, np.ndarray]) -> None:
    image, mask = support
    with pytest.raises(DataError, match=r"expected uint8, \(H, W, 3\)"):
        masking_maps(network(), image[..., 0], mask, 4)
    with pytest.raises(DataError, match=r"expected bool of the support's \(64, 48\)"):
        masking_maps(network(), image, mask[:9], 4)
    with pytest.raises(ConfigError, match="level 1 was asked for"):
        correlation_map(network(), image, image, mask, (0, 0), 1)
    with pytest.raises(DataError, match="x from 0 to 47"):
        correlation_maps(network(), image, image, mask, (48, 0))
