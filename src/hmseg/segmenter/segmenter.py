"""Segment one's own images from a few annotated ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hmseg.annotations.supports import find_supports
from hmseg.checkpoint_files import PRETRAINED
from hmseg.data.mask_meaning import Reading
from hmseg.data.transforms import find_resizer
from hmseg.errors import ConfigError, DataError, unknown
from hmseg.files import given_path
from hmseg.masking import Masking, build_masking
from hmseg.networks import FewShotNetwork
from hmseg.networks.shots import JOINED, find_aggregation
from hmseg.segmenter.deciding import decide, label
from hmseg.segmenter.device import find_device, find_precision
from hmseg.segmenter.encoder import Answer, Encoder, Support
from hmseg.segmenter.images import ImageLike, Pixels, to_photo, to_pixels
from hmseg.segmenter.loading import load
from hmseg.segmenter.masks import MaskLike, to_mask
from hmseg.segmenter.presence import least_presence
from hmseg.segmenter.refining import check_refinement, refined
from hmseg.segmenter.segmentation import Segmentation

LEAST_SIDE = 64
"""Two cells of the deepest map (stride 32) a side: fewer leave nothing to correlate."""


class Segmenter:
    """Segments images by what a few annotated ones show, of one or several classes.

    Supports pass the backbone once, when they are added; an image to segment costs one backbone pass and one
    pass of the head per support.

    Args:
        network: trained; moved to the device and put into eval mode.
        side: images are resized to squares of this side, pixels: the one it was trained on, usually.
        resize: how: ``pil`` or ``opencv``, as in training.
        aggregation: how several supports of a class decide together: ``vote`` (published), ``mean_logits``,
            ``mean_probability``; see :func:`hmseg.segmenter.deciding.decide`. ``concat`` for a network that
            joins its shots, and only there. None: whichever of ``vote`` and ``concat`` fits the network.
        device: ``auto`` (CUDA where there is one, else the CPU) or one of PyTorch's.
        precision: ``auto`` (CUDA: bfloat16 or float16, else float32), ``float32``, ``bfloat16``, ``float16``.
        refine: how outlines are moved to the image's edges: ``grabcut``, or ``none``: as the network decides;
            see :func:`hmseg.segmenter.refining.refined`.
        presence: a class that is less present in an image gets no mask there, see
            :func:`hmseg.segmenter.presence.presence`; -1: every class is looked for in every image. None:
            what was chosen for the backbone, -1 but for the bundled EfficientNet-Lite2.

    Raises:
        ConfigError: a setting out of range, or an aggregation that doesn't fit the network.

    Example:
        >>> import hmseg
        >>> network = hmseg.build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")  # untrained
        >>> segmenter = Segmenter(network, side=64)
        >>> photo = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
        >>> segmenter.fit(photo, hmseg.Box(20, 10, 60, 40), name="cat").classes
        ('cat',)
        >>> segmenter.predict(photo).scores.shape
        (1, 48, 80)
    """

    def __init__(
        self,
        network: FewShotNetwork,
        *,
        side: int,
        resize: str = "pil",
        aggregation: str | None = None,
        device: str | torch.device = "auto",
        precision: str = "auto",
        refine: str = "grabcut",
        presence: float | None = None,
    ) -> None:
        if side < LEAST_SIDE:
            raise ConfigError(f"side={side}: at least {LEAST_SIDE} pixels were expected")
        chosen = aggregation or (JOINED if network.join_shots else "vote")
        find_aggregation(chosen)
        if (chosen == JOINED) != network.join_shots:
            raise ConfigError(
                f"aggregation '{chosen}' doesn't fit this network, which was built with join_shots="
                f"{network.join_shots}: {JOINED} needs join_shots=True, the others False"
            )
        find_resizer(resize)
        check_refinement(refine)
        place = find_device(device)
        bits = find_precision(precision, place)
        self.encoder = Encoder(network.to(place).eval(), side, resize, place, bits)
        self.aggregation = chosen
        self.refine = refine
        self.presence = least_presence(network, presence)
        self._supports: dict[str, list[Support]] = {}

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | None = None,
        *,
        masking: str | Masking | None = None,
        device: str | torch.device = "auto",
        precision: str = "auto",
        side: int | None = None,
        aggregation: str | None = None,
        weights: str | Path | None = None,
        refine: str = "grabcut",
        presence: float | None = None,
    ) -> Segmenter:
        """A segmenter with a trained network.

        Args:
            path: a ``.ckpt`` file, a run folder (its best checkpoint), or None: `from_pretrained`'s default.
            masking: another than the checkpoint was trained with, to compare.
            device: see the class.
            precision: see the class.
            side: see the class; None: that of the training.
            aggregation: see the class; None: that of the training.
            weights: file (or name) of the backbone's weights, where the checkpoint neither holds them nor
                says where they are now.
            refine: see the class.
            presence: see the class.

        Raises:
            CheckpointError: missing, damaged or not ours.
            WeightsError: the backbone's weights can't be had.
            ConfigError: a setting that can't be.
        """
        loaded = load(path, masking, aggregation, weights)
        return cls(
            loaded.network,
            side=loaded.side if side is None else side,
            resize=loaded.resize,
            aggregation=loaded.aggregation,
            device=device,
            precision=precision,
            refine=refine,
            presence=presence,
        )

    @classmethod
    def from_pretrained(cls, name: str = "prototype", **options: Any) -> Segmenter:
        """A segmenter with a network that the package carries.

        Args:
            name: ``prototype``, which no photo with a mask has trained (:mod:`hmseg.networks.prototype`).
            options: of :meth:`from_checkpoint`.

        Raises:
            ConfigError: no such name, or a setting that can't be.

        Example:
            >>> Segmenter.from_pretrained("prototype", device="cpu").side
            560
        """
        if name not in PRETRAINED:
            raise ConfigError(unknown("pretrained network", name, PRETRAINED))
        return cls.from_checkpoint(PRETRAINED[name], **options)

    def with_masking(self, masking: str | Masking) -> Segmenter:
        """Another segmenter with the same parts and supports and another masking; this one stays as it is.

        Raises:
            ConfigError: no such masking.
        """
        strategy = build_masking(masking) if isinstance(masking, str) else masking
        own = self.network
        network = FewShotNetwork(own.backbone, strategy, own.head, own.pass_pixels, own.store, own.join_shots)
        other = Segmenter.__new__(Segmenter)
        other.encoder = replace(self.encoder, network=network.eval())
        other.aggregation, other.refine = self.aggregation, self.refine
        other.presence = self.presence
        other._supports = {
            name: [replace(each, kept=other.encoder.kept(each.image, each.mask)) for each in supports]
            for name, supports in self._supports.items()
        }
        return other

    @property
    def network(self) -> FewShotNetwork:
        """The network, on its device."""
        return self.encoder.network

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.encoder.device

    @property
    def side(self) -> int:
        """Of the squares that the network sees, pixels."""
        return self.encoder.side

    # Supports

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order in which the classes were fitted; class number c + 1 in label maps."""
        return tuple(self._supports)

    @property
    def supports(self) -> Mapping[str, tuple[Support, ...]]:
        """What is kept, by class."""
        return {name: tuple(supports) for name, supports in self._supports.items()}

    def fit(
        self,
        images: ImageLike | Sequence[ImageLike],
        masks: MaskLike | Sequence[MaskLike],
        name: str = "object",
        reading: Reading = "auto",
    ) -> Segmenter:
        """Shows what a class looks like; replaces what was shown of it before, and leaves other classes.

        Args:
            images: one image, or a list of them. See :func:`hmseg.segmenter.images.to_pixels`.
            masks: one mask each. See :func:`hmseg.segmenter.masks.to_mask`.
            name: of the class.
            reading: what the pixels of mask files mean; see :func:`hmseg.data.mask_meaning.meaning`.

        Returns:
            The segmenter itself.

        Raises:
            DataError: an image or mask that can't be used; then nothing has changed.
        """
        _check_name(name)
        if isinstance(images, list | tuple):
            if not isinstance(masks, list | tuple) or len(masks) != len(images) or not images:
                count = f"{len(masks)} masks" if isinstance(masks, list | tuple) else "one mask"
                raise DataError(
                    f"{len(images)} images and {count} came: one mask for each image was expected"
                )
            pairs: list[tuple[ImageLike, MaskLike]] = list(zip(images, masks, strict=True))
        else:
            pairs = [(images, masks)]  # type: ignore[list-item]
        many = len(pairs) > 1
        self._supports[name] = [
            self._read(image, mask, f" {number} of '{name}'" if many else f" of '{name}'", reading)
            for number, (image, mask) in enumerate(pairs, start=1)
        ]
        return self

    def fit_annotations(
        self,
        path: str | Path,
        images: str | Path | None = None,
        name: str = "object",
        reading: Reading = "auto",
    ) -> Segmenter:
        """Shows what annotation files mark, of every class in them; as :meth:`fit` of each class.

        A single outline that can't be used is left out, with a warning that says how many and why.

        Args:
            path: a folder with images and masks, or files of LabelMe, COCO or YOLO; see
                :func:`hmseg.annotations.supports.find_supports`.
            images: folder of the images, where they lie elsewhere.
            name: of the class, where nothing names it.
            reading: what the pixels of mask files mean, as for :meth:`fit`.

        Returns:
            The segmenter itself.

        Raises:
            ConfigError: nothing is there, or more than one form of it.
            DataError: files or images that can't be used, or don't fit each other.
        """
        found = find_supports(
            Path(path).expanduser(), name, given_path(None if images is None else str(images)), reading
        )
        for note in found.notes():
            warnings.warn(f"{path}: {note}", stacklevel=2)
        for each, marked in found.classes.items():
            self.fit([one.image for one in marked], [one.mask for one in marked], each, reading)
        return self

    def add(
        self, image: ImageLike, mask: MaskLike, name: str = "object", reading: Reading = "auto"
    ) -> Segmenter:
        """Shows one more image of a class, known or new; arguments and errors as for :meth:`fit`."""
        _check_name(name)
        support = self._read(image, mask, f" of '{name}'", reading)
        self._supports.setdefault(name, []).append(support)
        return self

    def remove(self, name: str, index: int | None = None) -> Segmenter:
        """Forgets a class, or one of its supports; a class without supports is forgotten too.

        Args:
            name: of the class.
            index: of the support, in the order of adding; None: all of them.

        Raises:
            DataError: no such class or support.
        """
        if name not in self._supports:
            raise DataError(unknown("class", name, self._supports))
        supports = self._supports[name]
        if index is not None and not -len(supports) <= index < len(supports):
            raise DataError(f"class '{name}' has {len(supports)} supports, there is no number {index}")
        if index is not None:
            del supports[index]
        if index is None or not supports:
            del self._supports[name]
        return self

    # Prediction

    def predict(self, image: ImageLike) -> Segmentation:
        """Segments one image.

        Raises:
            DataError: an image that can't be used, or no support yet.
        """
        self._check_fitted()
        return self._segment([to_pixels(image)])[0]

    def predict_many(self, images: Iterable[ImageLike], batch: int | None = None) -> Iterator[Segmentation]:
        """Segments images one after the other, in their order, reading no more than a batch ahead.

        Args:
            images: any iterable, a generator too.
            batch: images that pass the backbone together; None: 8 on a GPU, 1 on a CPU, which gains nothing
                from more.

        Raises:
            DataError: as for :meth:`predict`, when the image's turn comes.
            ConfigError: ``batch`` below 1.
        """
        self._check_fitted()
        size = (1 if self.device.type == "cpu" else 8) if batch is None else batch
        if size < 1:
            raise ConfigError(f"batch={batch}: at least 1 was expected")
        return self._in_batches(iter(images), size)

    def _in_batches(self, images: Iterator[ImageLike], size: int) -> Iterator[Segmentation]:
        while pixels := [to_pixels(each) for each in islice(images, size)]:
            yield from self._segment(pixels)

    def _segment(self, images: Sequence[Pixels]) -> list[Segmentation]:
        by_class = self.encoder.answers(images, list(self._supports.values()))
        return [self._result(image, by_class, n) for n, image in enumerate(images)]

    def _result(self, image: Pixels, by_class: Sequence[Answer], number: int) -> Segmentation:
        height, width = image.shape[:2]
        presence = tuple(answer.presence[number] for answer in by_class)
        logits = [answer.logits[number] for answer in by_class]
        decided = [decide(each, (height, width), self.aggregation) for each in logits]
        scores = np.stack([score.cpu().numpy() for _, score in decided])
        claims = [claimed.cpu().numpy() for claimed, _ in decided]
        foreground = np.stack(
            [
                refined(image, claim & (there >= self.presence), score, self.refine)
                for claim, score, there in zip(claims, scores, presence, strict=True)
            ]
        )
        absent = tuple(n for n, p in zip(self.classes, presence, strict=True) if p < self.presence)
        labels = label(foreground, scores)
        return Segmentation(labels, scores, foreground, self.classes, image, presence, absent)

    # Parts

    def _read(self, image: ImageLike, mask: MaskLike, which: str, reading: Reading) -> Support:
        photo = to_photo(image, f"image{which}")
        what = f"mask {mask}" if isinstance(mask, str | PathLike) else f"mask{which}"
        return self.encoder.support(photo.pixels, to_mask(mask, photo, what, reading), what)

    def _check_fitted(self) -> None:
        if not self._supports:
            raise DataError("there is no support yet: give annotated images first, fit(images, masks)")


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"the name of a class was expected, some text, got {name!r}")
