"""Episodes from recipes, and their batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hmseg.data.dataset import EpisodeDataset, collate
from hmseg.data.episode import Episode, EpisodeSpec, Sample
from hmseg.data.pascal import PascalSource
from hmseg.data.protocols import episodes
from hmseg.data.source import Source
from hmseg.data.transforms import resize_image, resize_mask
from hmseg.errors import ConfigError, DataError

SPEC = EpisodeSpec(1, "val1_0", ("val1_1", "val1_2"))  # 8x12, supports 9x11 and 10x10


def test_episode_at_network_size(fake_source: Source) -> None:
    episode = EpisodeDataset(fake_source, (16, 24))[5, SPEC]
    query = fake_source.read("val1_0", 1)
    assert torch.equal(episode.query_image, resize_image(query.image, (16, 24)))
    assert torch.equal(episode.query_mask, resize_mask(query.mask, (16, 24)))
    assert torch.equal(episode.query_void, resize_mask(query.void, (16, 24)))
    assert episode.support_images.shape == (2, 3, 16, 24) and episode.support_images.dtype == torch.uint8
    assert episode.support_masks.shape == (2, 16, 24) and episode.support_masks.dtype == torch.bool
    assert episode.support_images[:, 0, 0, 0].tolist() == [11, 12]  # in the order of the recipe
    for field in (episode.class_id, episode.query_size, episode.index):
        assert field.dtype == torch.int64
    assert (episode.class_id.item(), episode.query_size.tolist(), episode.index.item()) == (1, [8, 12], 5)


def test_original_size_keeps_the_truth_of_the_query(fake_source: Source) -> None:
    episode = EpisodeDataset(fake_source, (16, 24), original_size=True)[0, SPEC]
    query = fake_source.read("val1_0", 1)
    assert episode.query_image.shape == (3, 16, 24) and episode.support_masks.shape == (2, 16, 24)
    np.testing.assert_array_equal(episode.query_mask.numpy(), query.mask)
    np.testing.assert_array_equal(episode.query_void.numpy(), query.void)


def test_small_object_may_vanish_from_the_resized_support(fake_source: Source) -> None:
    class Tiny(type(fake_source)):  # type: ignore[misc]
        def read(self, name: str, class_id: int) -> Sample:
            image, mask, void = super().read(name, class_id)
            mask = np.zeros_like(mask)
            mask[1, 1] = True
            return Sample(image, mask, void)

    episode = EpisodeDataset(Tiny(), (2, 2))[0, SPEC]
    assert not episode.support_masks.any() and not episode.query_mask.any()


def test_opencv_resizes_images_and_leaves_masks_as_they_are(fake_source: Source) -> None:
    pil, opencv = EpisodeDataset(fake_source, (6, 7)), EpisodeDataset(fake_source, (6, 7), resize="opencv")
    query = fake_source.read("val1_0", 1)
    assert torch.equal(opencv[0, SPEC].query_image, resize_image(query.image, (6, 7), "opencv"))
    assert torch.equal(opencv[0, SPEC].support_masks, pil[0, SPEC].support_masks)
    assert torch.equal(opencv[0, SPEC].query_mask, pil[0, SPEC].query_mask)


def test_an_image_named_twice_is_read_once(fake_source: Source) -> None:
    class Counting(type(fake_source)):  # type: ignore[misc]
        names: list[str] = []

        def read(self, name: str, class_id: int) -> Sample:
            self.names.append(name)
            return super().read(name, class_id)

    spec = EpisodeSpec(1, "val1_0", ("val1_1", "val1_2", "val1_1"))
    episode = EpisodeDataset(Counting(), (6, 7))[0, spec]
    assert Counting.names == ["val1_0", "val1_1", "val1_2"]
    assert torch.equal(episode.support_images[0], episode.support_images[2])


def test_options_that_cannot_be_met_are_refused(fake_source: Source, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown resize 'pill': did you mean 'pil'"):
        EpisodeDataset(fake_source, (6, 7), resize="pill")
    with pytest.raises(ConfigError, match="a cache of resized images came with an augmentation"):
        EpisodeDataset(fake_source, (6, 7), augment=lambda image, **_: image, cache=tmp_path)


def test_unreadable_file_is_the_sources_error(fake_source: Source) -> None:
    with pytest.raises(DataError, match="image damaged is damaged"):
        EpisodeDataset(fake_source, (8, 8))[0, EpisodeSpec(0, "val0_0", ("damaged",))]


def test_collate_stacks_every_field(fake_source: Source) -> None:
    dataset = EpisodeDataset(fake_source, (6, 7))
    batch = collate([dataset[0, SPEC], dataset[3, EpisodeSpec(0, "val0_2", ("val0_0", "val0_0"))]])
    assert [tuple(field.shape) for field in batch] == [
        (2, 3, 6, 7), (2, 6, 7), (2, 6, 7), (2, 2, 3, 6, 7), (2, 2, 6, 7), (2,), (2, 2), (2,)
    ]  # fmt: skip
    assert isinstance(batch, Episode)
    assert batch.class_id.tolist() == [1, 0] and batch.index.tolist() == [0, 3]
    assert batch.query_size.tolist() == [[8, 12], [10, 10]]


def test_collate_pads_original_sizes_with_void(fake_source: Source) -> None:
    dataset = EpisodeDataset(fake_source, (6, 6), original_size=True)
    singles = [dataset[i, EpisodeSpec(0, f"val0_{i}", ("val0_1", "val0_0"))] for i in range(3)]
    batch = collate(singles)
    assert batch.query_mask.shape == batch.query_void.shape == (3, 10, 12)
    for i, single in enumerate(singles):
        height, width = batch.query_size[i].tolist()
        assert torch.equal(batch.query_mask[i, :height, :width], single.query_mask)
        assert torch.equal(batch.query_void[i, :height, :width], single.query_void)
        outside = torch.ones(10, 12, dtype=torch.bool)
        outside[:height, :width] = False
        assert not batch.query_mask[i][outside].any() and batch.query_void[i][outside].all()


def test_shared_photos_make_episodes(shared: Path) -> None:
    source = PascalSource(shared / "data/VOC2012")
    specs = episodes("hsnet", source.listing("val", 1), shot=5, episodes=24)
    dataset = EpisodeDataset(source, (64, 96), original_size=True)
    batch = collate([dataset[item] for item in enumerate(specs)])
    assert batch.support_images.shape == (24, 5, 3, 64, 96)
    assert batch.class_id.tolist() == [spec.class_id for spec in specs]
    assert batch.query_mask.flatten(1).any(1).all()
    assert not (batch.query_mask & batch.query_void).any()
    assert batch.query_mask.shape[1:] == tuple(batch.query_size.max(0).values.tolist())
