"""Backbone maps kept in files: a frozen backbone need see each different image only once.

The key is the content of the image that enters the backbone, so nothing must be known of episodes, masks or
masking: the masked image of a support is an image like any other. Reading the maps of a photo of 160 pixels
takes a tenth of the time of making them on a CPU.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hmseg.errors import ConfigError, DataError, first_line, unknown
from hmseg.files import writing, writing_bytes

log = logging.getLogger(__name__)

Compute = Callable[[Tensor], list[Tensor]]
"""Images (N, 3, H, W) -> maps (N, C, h, w)."""

PRECISIONS: dict[str, torch.dtype] = {"float32": torch.float32, "float16": torch.float16}
_LAYOUT = "layout.json"
_SUM = 4
"""Bytes of the checksum at a file's end."""
_REMEDY = "mend that, give features.folder another place, or set it to null"


class Layout(NamedTuple):
    """How a map of one image lies in memory and in a file.

    Attributes:
        shape: (C, h, w).
        channels_last: the channel changes fastest, else the column does.
    """

    shape: tuple[int, ...]
    channels_last: bool

    @classmethod
    def of(cls, maps: Tensor) -> Layout:
        """Of maps (N, C, h, w). By strides, since both orders are contiguous for one channel or place."""
        channels, _, width = shape = tuple(maps.shape[1:])
        return cls(shape, maps.stride()[1:] == (1, width * channels, channels))

    @property
    def memory_format(self) -> torch.memory_format:
        """PyTorch's name for it."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def flat(self, one: Tensor) -> Tensor:
        """A map (C, h, w) as the file has it."""
        return (one.permute(1, 2, 0) if self.channels_last else one).flatten()

    def unflat(self, values: Tensor) -> Tensor:
        """And back, without a copy."""
        if not self.channels_last:
            return values.view(self.shape)
        channels, height, width = self.shape
        return values.view(height, width, channels).permute(2, 0, 1)


class FeatureStore:
    """Maps of a frozen backbone by the content of the image.

    What it gives depends on nothing but the image, to the last bit, so that a run ends alike on an empty
    store and on a full one: images are computed one by one, maps are rounded to the store's precision when
    they are made, too, and lie in memory as the backbone leaves them (a convolution sums in another order
    where the channels lie elsewhere). In float32 a run without a store ends alike, too, where the backbone's
    maps of an image are the same in a batch: VGG-16's are not, on a CPU.

    Safe for several runs at once: a file appears whole, under the name of what it was made from. It may be
    deleted at any time. It ends in a checksum of its maps, of that name and of their layout, which is
    compared whenever it is read: a damaged or exchanged file is made again, with a warning. One image takes
    3.3 MB at 160 pixels and 20 MB at 400 (ResNet-50, levels 2 to 4, float16; twice that in float32).

    Args:
        folder: shared by all runs.
        network: what computed the maps; maps of another network are never given. Take the fingerprint of the
            weights, and whatever else changes the maps.
        precision: ``float32`` keeps the maps as they are; ``float16`` rounds them to 11 significant bits.
        limit_gb: no more is written when the folder of this network has so many 10^9 bytes; images that are
            not there then are computed each time.

    Raises:
        ConfigError: an unknown precision, or a limit that is not above 0.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = FeatureStore(folder, "negation")
        ...     first = store.maps(torch.ones(1, 3, 2, 2), lambda images: [-images])
        ...     again = store.maps(torch.ones(1, 3, 2, 2), lambda images: [])  # nothing is computed
        >>> torch.equal(first[0], again[0])
        True
    """

    def __init__(
        self, folder: str | Path, network: str, precision: str = "float32", limit_gb: float = 50.0
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(unknown("features.precision", precision, PRECISIONS))
        if not limit_gb > 0:
            raise ConfigError(f"features.limit_gb: expected a number above 0, got {limit_gb}")
        self._dtype = PRECISIONS[precision]
        # The last words tell these files from older ones: in the shape's order, or without checksums.
        made_by = f"{network} torch {torch.__version__}, order of memory, checksums"
        name = hashlib.sha256(made_by.encode()).hexdigest()[:24]
        self.folder = Path(folder) / f"{name}-{precision}"
        self._room: float | None = None  # bytes that may still be written; counted when first needed
        self._limit = limit_gb * 1e9
        self._layouts: dict[str, list[Layout]] = {}

    @torch.no_grad()
    def maps(self, images: Tensor, compute: Compute) -> list[Tensor]:
        """The maps of images, read where they are at hand, else computed and kept.

        Looks at the images' bytes, so on a GPU it waits for the device: it is meant for the CPU.

        Args:
            images: (N, 3, H, W).
            compute: makes the maps of an image that is not there, each by itself.

        Returns:
            Maps (N, C, h, w) of the images' dtype, on their device, in the memory format of the computed.

        Raises:
            DataError: the folder can't be read or written.
        """
        size = "x".join(map(str, images.shape[1:])) + (f"-{_cast(images)}" if _cast(images) else "")
        keys = [_digest(image) for image in images]
        found = {key: self._read(size, key) for key in dict.fromkeys(keys)}
        absent = [keys.index(key) for key, flat in found.items() if flat is None]
        fresh = {keys[index]: self._rounded(compute(images[index : index + 1])) for index in absent}
        layouts = self._keep(size, fresh) if fresh else self._layouts[size]
        return _assembled(images, keys, layouts, found, fresh)

    def _rounded(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [each.detach().to(self._dtype) for each in maps]

    # Files

    def _path(self, size: str, key: str) -> Path:
        return self.folder / size / key[:2] / key[2:]

    def _layout(self, size: str) -> list[Layout] | None:
        """Of the maps of images of a size; None where nothing was kept yet."""
        if size not in self._layouts:
            path = self.folder / size / _LAYOUT
            try:
                kept = json.loads(path.read_bytes())
                layouts = [Layout(tuple(map(int, shape)), bool(last)) for shape, last in kept["layouts"]]
                if kept["crc32"] != _crc(layouts):
                    raise ValueError("its checksum differs")
            except OSError:
                return None
            except Exception as error:  # noqa: BLE001 - the file may hold anything
                log.warning("feature store %s is damaged (%s): it is made again", path, first_line(error))
                return None
            self._layouts[size] = layouts
        return self._layouts[size]

    def _read(self, size: str, key: str) -> Tensor | None:
        """All maps of an image one after the other, mapped into memory; None where they are not there."""
        if (layout := self._layout(size)) is None:
            return None
        path, count = self._path(size, key), sum(torch.Size(each.shape).numel() for each in layout)
        try:
            bytes_there = path.stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"feature store {path} can't be read ({error.strerror}): {_REMEDY}") from None
        reason = f"{bytes_there} bytes"
        if bytes_there == count * self._dtype.itemsize + _SUM:
            raw = torch.from_file(str(path), shared=False, size=bytes_there, dtype=torch.uint8)
            flat, kept = raw[:-_SUM].view(self._dtype), raw[-_SUM:].numpy().tobytes()
            if kept == _checksum(size, key, layout, flat):
                return flat
            reason = "its checksum differs"
        log.warning("feature store %s is damaged (%s): it is made again", path, reason)
        return None

    def _keep(self, size: str, fresh: Mapping[str, Sequence[Tensor]]) -> list[Layout]:
        """Writes the maps (1, C, h, w) of images in the order of those that are there; gives that back."""
        layouts, there = [Layout.of(each) for each in next(iter(fresh.values()))], self._layout(size)
        try:
            if there is not None and [each.shape for each in there] == [each.shape for each in layouts]:
                layouts = there
            else:
                (self.folder / size).mkdir(parents=True, exist_ok=True)
                with writing(self.folder / size / _LAYOUT) as file:
                    json.dump({"layouts": layouts, "crc32": _crc(layouts)}, file)
                self._layouts[size] = layouts
            for key, maps in fresh.items():
                ones = zip(layouts, maps, strict=True)
                flat = torch.cat([layout.flat(one[0].cpu()) for layout, one in ones])
                if self._dtype == torch.float16 and not flat.isfinite().all():
                    raise DataError(
                        "features beyond 65504 can't be kept in float16: set features.precision=float32"
                    )
                data = flat.numpy().tobytes() + _checksum(size, key, layouts, flat)
                self._write(self._path(size, key), data)
        except OSError as error:
            reason = "no space is left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
            raise DataError(f"feature store {self.folder} can't be written ({reason}): {_REMEDY}") from None
        return layouts

    def _write(self, path: Path, data: bytes) -> None:
        if self._room is None:
            self._room = self._limit - _bytes_below(self.folder)
        if self._room < len(data):
            return
        self._room -= len(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing_bytes(path, durable=False) as file:
            file.write(data)


def _assembled(
    images: Tensor,
    keys: Sequence[str],
    layouts: Sequence[Layout],
    found: Mapping[str, Tensor | None],
    fresh: Mapping[str, Sequence[Tensor]],
) -> list[Tensor]:
    """Kept maps go straight from the file's pages into the batch, converted on the way; fresh ones too."""
    result, start = [], 0
    for level, layout in enumerate(layouts):
        end = start + torch.Size(layout.shape).numel()
        batch = torch.empty(
            (len(keys), *layout.shape),
            dtype=images.dtype,
            device=images.device,
            memory_format=layout.memory_format,
        )
        for place, key in zip(batch, keys, strict=True):
            flat = found[key]
            place.copy_(fresh[key][level][0] if flat is None else layout.unflat(flat[start:end]))
        result.append(batch)
        start = end
    return result


def _crc(layouts: Sequence[Layout], *names: str) -> int:
    return zlib.crc32(json.dumps([*names, *layouts]).encode())


def _checksum(size: str, key: str, layouts: Sequence[Layout], flat: Tensor) -> bytes:
    """CRC-32 of maps, and of what they are of: 4 GB/s, a tenth of what reading them takes."""
    return zlib.crc32(flat.view(torch.uint8).numpy().data, _crc(layouts, size, key)).to_bytes(_SUM, "little")


def _digest(image: Tensor) -> str:
    """Of an image's bytes; 160 bits, so that no two images of any data set ever share one."""
    return hashlib.blake2b(image.detach().cpu().contiguous().numpy().data, digest_size=20).hexdigest()


def _cast(images: Tensor) -> str:
    """The reduced precision under which a backbone would run now, in words; empty for none."""
    kind = images.device.type
    if not torch.is_autocast_enabled(kind):
        return ""
    return str(torch.get_autocast_dtype(kind)).removeprefix("torch.")


def _bytes_below(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.glob("*/??/*"))
