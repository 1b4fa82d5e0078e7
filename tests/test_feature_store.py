"""Kept backbone maps: the same as computed ones, and what happens when files are damaged or missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hmseg.assembly import build_network
from hmseg.config import check, compose
from hmseg.errors import ConfigError, DataError
from hmseg.feature_store import FeatureStore
from hmseg.masking import build_masking
from hmseg.networks import FewShotNetwork
from tiny import TinyBackbone, TinyHead, tiny_network


class Counted:
    """Two maps of each image, and how many images were asked for."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, images: Tensor) -> list[Tensor]:
        self.images += len(images)
        return [images[:, :1] * 2, images[:, :, ::2, ::2] - 1]


def pictures(count: int = 3, side: int = 8) -> Tensor:
    return torch.randn(count, 3, side, side)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.0), ("float16", 2**-11)])
def test_maps_come_back_as_they_were(tmp_path: Path, precision: str, tolerance: float) -> None:
    images, compute = pictures(), Counted()
    expected = Counted()(images)
    for store in (FeatureStore(tmp_path, "a", precision), FeatureStore(tmp_path, "a", precision)):
        first, second = store.maps(images[:2], compute), store.maps(images[[2, 1, 2]], compute)
        for found, rows in ((first, [0, 1]), (second, [2, 1, 2])):
            for level, each in enumerate(found):
                assert each.dtype == torch.float32 and each.is_contiguous()
                assert torch.allclose(each, expected[level][rows], rtol=tolerance, atol=0)
    assert compute.images == 3  # each different image once, in two stores of one folder


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_what_it_gives_does_not_depend_on_what_it_holds(
    tmp_path: Path, precision: str, order: torch.memory_format
) -> None:
    """To the last bit, and in memory too: a convolution sums in another order where the channels are."""

    def compute(images: Tensor) -> list[Tensor]:
        maps = (images * 3 + len(images), images[:, :1] / 7, images.mean(dim=(2, 3), keepdim=True))
        return [each.contiguous(memory_format=order) for each in maps]

    images = pictures(4)
    alone = [torch.cat(maps) for maps in zip(*(compute(one) for one in images.split(1)), strict=True)]
    empty = FeatureStore(tmp_path / "empty", "a", precision).maps(images, compute)
    FeatureStore(tmp_path / "some", "a", precision).maps(images[1:3], compute)
    some = FeatureStore(tmp_path / "some", "a", precision)
    for found in (empty, some.maps(images, compute), some.maps(images, compute)):
        for each, first, exact in zip(found, empty, alone, strict=True):
            assert torch.equal(each, first) and each.stride() == first.stride()
            assert torch.allclose(each, exact, rtol=2**-11) and each.is_contiguous(memory_format=order)


def test_an_image_that_comes_twice_in_a_batch_is_computed_once(tmp_path: Path) -> None:
    images, compute = pictures(2), Counted()
    found = FeatureStore(tmp_path, "a").maps(images[[0, 1, 0]], compute)
    assert compute.images == 2 and torch.equal(found[0][0], found[0][2])


def test_other_networks_sizes_and_precisions_do_not_meet(tmp_path: Path) -> None:
    compute = Counted()
    for name, precision, side in (
        ("a", "float32", 8),
        ("b", "float32", 8),
        ("a", "float16", 8),
        ("a", "float32", 16),
    ):
        FeatureStore(tmp_path, name, precision).maps(torch.ones(1, 3, side, side), compute)
    assert compute.images == 4


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    images, compute = pictures(1), Counted()
    store = FeatureStore(tmp_path, "a")
    store.maps(images, compute)
    (path,) = (each for each in tmp_path.glob("*/*/??/*") if each.is_file())
    path.write_bytes(path.read_bytes()[:-4])
    assert torch.equal(store.maps(images, compute)[0], Counted()(images)[0])
    assert compute.images == 2
    store.maps(images, compute)
    assert compute.images == 2  # whole again
    (tmp_path / path.parts[-4] / path.parts[-3] / "layout.json").write_text("[[1")
    FeatureStore(tmp_path, "a").maps(images, compute)
    assert compute.images == 3


def kept_files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob("*/*/??/*") if each.is_file())


def zeroed(folder: Path) -> None:
    path = kept_files(folder)[0]
    path.write_bytes(bytes(path.stat().st_size))


def flipped(folder: Path) -> None:
    path = kept_files(folder)[0]
    content = bytearray(path.read_bytes())
    content[17] ^= 4
    path.write_bytes(content)


def exchanged(folder: Path) -> None:
    first, second, *_ = kept_files(folder)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def another_order(folder: Path) -> None:
    (path,) = folder.glob("*/*/layout.json")
    text = path.read_text()
    path.write_text(text.replace("false", "true") if "false" in text else text.replace("true", "false"))


def another_layout(folder: Path) -> None:
    (path,) = folder.glob("*/*/layout.json")
    path.write_text('{"layouts": [[[3, 1, 1], 0]], "crc32": null, "nested": ' + 9000 * "[" + 9000 * "]" + "}")


@pytest.mark.parametrize("damage", [zeroed, flipped, exchanged, another_order, another_layout])
def test_what_was_changed_without_a_change_of_size_is_made_again(
    tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    images = pictures(3)
    expected = FeatureStore(tmp_path, "a").maps(images, Counted())
    damage(tmp_path)
    found = FeatureStore(tmp_path, "a").maps(images, compute := Counted())
    assert compute.images > 0 and "is damaged" in caplog.text
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other) and one.stride() == other.stride()
    FeatureStore(tmp_path, "a").maps(images, compute := Counted())
    assert compute.images == 0  # whole again


def test_a_full_store_computes_what_it_does_not_hold(tmp_path: Path) -> None:
    images, compute = pictures(3), Counted()
    one = 4 * (64 + 48) + 4  # bytes of an image's maps and their checksum
    store = FeatureStore(tmp_path, "a", limit_gb=2 * one / 1e9)
    for _ in range(2):
        assert torch.equal(store.maps(images, compute)[1], Counted()(images)[1])
    assert compute.images == 4
    FeatureStore(tmp_path, "a", limit_gb=2 * one / 1e9).maps(pictures(1), compute)  # counts what is there
    assert len([each for each in tmp_path.glob("*/*/??/*") if each.is_file()]) == 2


def test_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown features.precision 'float8'"):
        FeatureStore(tmp_path, "a", "float8")
    with pytest.raises(ConfigError, match="expected a number above 0, got 0"):
        FeatureStore(tmp_path, "a", limit_gb=0)
    with pytest.raises(DataError, match="beyond 65504"):
        FeatureStore(tmp_path, "a", "float16").maps(torch.full((1, 3, 4, 4), 1e6), Counted())
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can't be (written|read)"):
        FeatureStore(tmp_path / "file", "a").maps(pictures(1), Counted())
    for name in ("vat", "geometric"):
        with pytest.raises(ConfigError, match=f"augmentation={name} changes each image"):
            check(compose("features.folder=auto", f"loader.augmentation={name}"))
    with pytest.raises(ConfigError, match="features.limit_gb: expected a number above 0"):
        check(compose("features.limit_gb=-1"))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_head_learns_the_same_from_kept_and_fresh_maps(tmp_path: Path, precision: str) -> None:
    """To the last bit, so that a run that was stopped ends like an undisturbed one."""
    network = build_network(compose("experiment=shapes_quick", "dataset.image_size=64"))
    query, supports = pictures(3, side=64), pictures(3, side=64)[:, None]
    masks = torch.zeros(3, 1, 64, 64, dtype=torch.bool)
    masks[..., 10:40, 20:50] = True
    plain = network.encode_query(query)
    for step, batch in enumerate((slice(0, 2), slice(1, 3), slice(0, 2))):  # nothing is kept, some, and all
        gradients = []
        for folder in ("filled", f"empty-{step}"):
            network.store = FeatureStore(tmp_path / folder, "mobilenet_v2", precision)
            network.zero_grad()
            network(query[batch], supports[batch], masks[batch]).square().mean().backward()
            gradients.append([each.grad for each in network.head.parameters()])
        assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
    for level, maps in network.encode_query(query).items():
        assert [each.stride() for each in maps] == [each.stride() for each in plain[level]]


def test_a_network_gives_the_same_with_and_without(tmp_path: Path) -> None:
    plain = tiny_network()
    kept = FewShotNetwork(
        TinyBackbone(), build_masking("hybrid"), TinyHead(), store=FeatureStore(tmp_path, "tiny")
    ).eval()
    unkept = FewShotNetwork(TinyBackbone(), build_masking("hybrid"), TinyHead()).eval()
    assert set(kept.state_dict()) == set(plain.state_dict())  # checkpoints don't know of it
    query, supports = torch.randn(2, 3, 32, 48), torch.randn(2, 2, 3, 32, 48)
    masks = torch.zeros(2, 2, 32, 48, dtype=torch.bool)
    masks[..., 8:20, 10:30] = True
    expected = unkept(query, supports, masks)
    for _ in range(2):
        # images are computed one by one, so the last bits may differ
        assert torch.allclose(kept(query, supports, masks), expected, rtol=1e-5, atol=1e-3)
    assert kept.backbone.training is False and kept(query, supports, masks).requires_grad
