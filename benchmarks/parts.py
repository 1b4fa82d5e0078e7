"""The parts of reading an image, timed one by one: where the time goes, and what was tried instead."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from timing import interleaved
from torch.nn import functional as F  # noqa: N812
from torchvision.transforms import Normalize, ToTensor

from hmseg.data.augment import GeometricAugment, VatAugment
from hmseg.data.cache import ImageCache
from hmseg.data.pascal import PascalSource
from hmseg.data.reading import read_image, read_label_map
from hmseg.data.transforms import resize_mask, resize_pixels
from hmseg.imagenet import IMAGENET_MEAN, IMAGENET_STD

Pairs = Sequence[tuple[str, int]]


def measure_parts(
    source: PascalSource, pairs: Pairs, size: tuple[int, int], repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of processor time per image of each part, once per repetition."""
    photos = [source.files(name)[0] for name, _ in pairs]
    masks = [source.files(name)[1] for name, _ in pairs]
    pixels = [read_image(path) for path in photos]
    small = [Image.fromarray(resize_pixels(each, size)) for each in pixels]
    samples = [source.read(*pair) for pair in pairs]
    cut = [sample.mask for sample in samples]
    augment, move = VatAugment(0), GeometricAugment(0)
    with tempfile.TemporaryDirectory() as folder:
        cache = ImageCache(folder, source, size)
        parts: dict[str, tuple[Callable[[Any], object], Sequence[Any]]] = {
            "decode JPEG, Pillow (published)": (_pillow, photos),
            "decode JPEG, Pillow's draft mode (other pixels where it acts)": (
                partial(_draft, size=size),
                photos,
            ),
            "decode JPEG, read_image": (read_image, photos),
            "resize, Pillow (published for HSNet, ASNet)": (partial(resize_pixels, size=size), pixels),
            "resize, OpenCV (published for VAT; other pixels)": (
                partial(resize_pixels, size=size, resize="opencv"),
                pixels,
            ),
            "ToTensor (published; here on the device)": (ToTensor(), small),
            "Normalize (published; here on the device)": (
                Normalize(IMAGENET_MEAN, IMAGENET_STD),
                [ToTensor()(each) for each in small[:20]],
            ),
            "decode mask, read_label_map": (read_label_map, masks),
            "resize mask, interpolate (published)": (partial(_interpolate, size=size), cut),
            "resize mask, resize_mask": (partial(resize_mask, size=size), cut),
            "augment as VAT, before the resize": (lambda sample: augment(sample, 0, _next(), 0), samples),
            "augment by flip, scale and crop": (lambda sample: move(sample, 0, _next(), 0), samples),
            "photo and mask from the cache of files": (lambda pair: cache(*pair), pairs),
        }
        works = {part: partial(_milliseconds, work, inputs) for part, (work, inputs) in parts.items()}
        return interleaved(works, repeats)


def _milliseconds(work: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    started = time.process_time()
    for each in inputs:
        work(each)
    return (time.process_time() - started) / len(inputs) * 1e3


def _pillow(path: Any) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


def _draft(path: Any, size: tuple[int, int]) -> np.ndarray:
    image = Image.open(io.BytesIO(path.read_bytes()))
    image.draft("RGB", size[::-1])
    return np.array(image.convert("RGB"))


def _interpolate(mask: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(torch.from_numpy(mask)[None, None].float(), size, mode="nearest")


_positions = iter(range(1 << 62))


def _next() -> int:
    """Another episode each time, so that the changes drawn are those of many."""
    return next(_positions)
