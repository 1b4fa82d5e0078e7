"""Resizing and normalisation equal what the published code calls."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F  # noqa: N812
from torchvision.transforms import Compose, InterpolationMode, Normalize, Resize, ToTensor

from hmseg.data.transforms import denormalise, find_resizer, normalise, resize_image, resize_mask
from hmseg.errors import ConfigError
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD

SIZES = [(20, 20), (50, 31), (90, 120), (1, 1), (37, 53)]  # smaller, mixed, larger, one pixel, the same


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_resize_image_equals_torchvision_on_pil(image: np.ndarray, size: tuple[int, int]) -> None:
    wanted = Resize(size, interpolation=InterpolationMode.BILINEAR)(Image.fromarray(image))
    resized = resize_image(image, size)
    assert resized.shape == (3, *size) and resized.dtype == torch.uint8
    np.testing.assert_array_equal(resized.permute(1, 2, 0).numpy(), np.array(wanted))


@pytest.mark.parametrize("size", SIZES)
def test_tall_images_too_equal_torchvision_on_pil(image: np.ndarray, size: tuple[int, int]) -> None:
    tall = np.ascontiguousarray(image.transpose(1, 0, 2))
    wanted = Resize(size, interpolation=InterpolationMode.BILINEAR)(Image.fromarray(tall))
    np.testing.assert_array_equal(resize_image(tall, size).permute(1, 2, 0).numpy(), np.array(wanted))


@pytest.mark.parametrize("size", SIZES)
def test_opencv_equals_opencv(image: np.ndarray, size: tuple[int, int]) -> None:
    wanted = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    resized = resize_image(image, size, "opencv")
    assert resized.shape == (3, *size) and resized.dtype == torch.uint8
    np.testing.assert_array_equal(resized.permute(1, 2, 0).numpy(), wanted)


def test_the_two_libraries_differ_where_images_shrink(image: np.ndarray) -> None:
    antialiased, plain = (resize_image(image, (9, 13), name).float() for name in ("pil", "opencv"))
    assert antialiased.std() < 0.7 * plain.std()


def test_unknown_resize_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="unknown resize 'opencv2': did you mean 'opencv'"):
        find_resizer("opencv2")
    with pytest.raises(ConfigError, match="unknown resize"):
        resize_image(image, (37, 53), "cv")


@pytest.mark.parametrize("resize", ["pil", "opencv"])
def test_resize_image_of_that_size_does_not_copy(image: np.ndarray, resize: str) -> None:
    assert resize_image(image, (37, 53), resize).data_ptr() == image.ctypes.data


def test_read_only_arrays_are_copied(image: np.ndarray) -> None:
    image.flags.writeable = False
    resized = resize_image(image, (37, 53))
    assert resized.data_ptr() != image.ctypes.data
    np.testing.assert_array_equal(resized.permute(1, 2, 0).numpy(), image)
    mask = image[..., 0] > 99
    mask.flags.writeable = False
    np.testing.assert_array_equal(resize_mask(mask, (37, 53)).numpy(), mask)


@pytest.mark.parametrize("size", SIZES)
def test_resize_mask_equals_interpolate_nearest(image: np.ndarray, size: tuple[int, int]) -> None:
    mask = image[..., 0] > 127
    wanted = F.interpolate(torch.from_numpy(mask)[None, None].float(), size, mode="nearest")[0, 0] > 0.5
    resized = resize_mask(mask, size)
    assert resized.dtype == torch.bool and resized.shape == size
    assert torch.equal(resized, wanted)


@pytest.mark.parametrize("side", [400, 417, 473])
def test_resize_mask_rounds_as_interpolate_at_every_length(side: int) -> None:
    for length in range(1, 700, 3):  # 165 to 473, say, is rounded in float32
        numbers = torch.arange(length, dtype=torch.float32)[None, None, None].expand(1, 1, 2, -1)
        chosen = F.interpolate(numbers, (2, side), mode="nearest")[0, 0, 0].long()
        mask = np.random.default_rng(length).random((1, length)) > 0.5
        assert torch.equal(resize_mask(mask, (1, side))[0], torch.from_numpy(mask[0])[chosen])


def test_resize_mask_of_that_size_does_not_copy(image: np.ndarray) -> None:
    mask = image[..., 0] > 127
    assert resize_mask(mask, (37, 53)).data_ptr() == mask.ctypes.data


def test_resizing_leaves_the_input_as_it_was(image: np.ndarray) -> None:
    before = image.copy()
    normalise(resize_image(image, (37, 53)))
    resize_image(image, (9, 9))
    np.testing.assert_array_equal(image, before)


def test_normalise_equals_torchvision(image: np.ndarray) -> None:
    wanted = Compose([ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])(Image.fromarray(image))
    normalised = normalise(torch.from_numpy(image).permute(2, 0, 1))
    assert normalised.dtype == torch.float32
    assert torch.equal(normalised, wanted)


def test_normalise_takes_any_leading_axes(image: np.ndarray) -> None:
    single = torch.from_numpy(image).permute(2, 0, 1)
    batch = single.expand(2, 4, 3, 37, 53)
    assert torch.equal(normalise(batch)[1, 3], normalise(single))


def test_normalising_twice_is_refused() -> None:
    with pytest.raises(TypeError, match=r"torch\.float32 came, torch\.uint8 was expected"):
        normalise(normalise(torch.zeros(3, 2, 2, dtype=torch.uint8)))


def test_denormalise_inverts_every_byte() -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(2, 3, 16, 16)
    assert torch.equal(denormalise(normalise(images)), images)


def test_denormalise_clamps_and_leaves_its_input() -> None:
    images = torch.tensor([-99.0, 99.0]).reshape(2, 1, 1, 1).expand(2, 3, 1, 1).contiguous()
    before = images.clone()
    assert denormalise(images).unique().tolist() == [0, 255]
    assert torch.equal(images, before)
