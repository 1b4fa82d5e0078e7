"""The files of the image cache: an image at the network's size, and its masks at its own, 8 pixels a byte.

A file is a prefix (a fixed word, the header's length and its CRC-32), a header in JSON (size and time of
change of the files it was made from, the image's own size, the classes, the payload's CRC-32), and the
payload: the pixels, then mask and void of each class.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmseg.data.episode import Sample
from hmseg.errors import DataError
from hmseg.files import writing_bytes
from hmseg.untrusted import parsing

Stamps = list[list[int]]
"""Size and time of change of each file that an entry was made from."""

_MAGIC = b"hmseg-1\n"
_PREFIX = len(_MAGIC) + 8  # header's length and CRC-32, 4 bytes each, little-endian


class DamagedError(DataError):
    """A file of the cache that is not whole."""


class Entry(NamedTuple):
    """One image at the network's size, and the masks of it that were read so far.

    Attributes:
        image: (height, width, 3) uint8, resized.
        own_size: height and width of the masks.
        packed: class -> (2, bytes) uint8, mask and void by rows.
    """

    image: NDArray[np.uint8]
    own_size: tuple[int, int]
    packed: dict[int, NDArray[np.uint8]]

    @classmethod
    def of(cls, class_id: int, sample: Sample) -> Entry:
        """The entry of one sample whose image is resized already."""
        masks = np.stack([sample.mask, sample.void]).reshape(2, -1)
        height, width = sample.mask.shape
        return cls(sample.image, (height, width), {class_id: np.packbits(masks, axis=1)})

    def merged(self, other: Entry) -> Entry:
        """The entry with the masks of another one of the same image."""
        return self._replace(packed=self.packed | other.packed)

    def sample(self, class_id: int) -> Sample:
        """The resized image with mask and void of one of its classes at their own size."""
        count = self.own_size[0] * self.own_size[1]
        bits = np.unpackbits(self.packed[class_id], axis=1, count=count).view(np.bool_)
        mask, void = bits.reshape(2, *self.own_size)
        return Sample(self.image, mask, void)


def write(path: Path, stamps: Stamps, entry: Entry) -> None:
    """Writes a file under a name of its own beside ``path`` and moves it there; raises OSError."""
    payload = [np.ascontiguousarray(entry.image).data, *(packed.data for packed in entry.packed.values())]
    crc = 0
    for part in payload:
        crc = zlib.crc32(part, crc)
    header = {"stamps": stamps, "own_size": entry.own_size, "classes": list(entry.packed), "crc": crc}
    text = json.dumps(header).encode()
    prefix = _MAGIC + len(text).to_bytes(4, "little") + zlib.crc32(text).to_bytes(4, "little")
    with writing_bytes(path, durable=False) as file:
        file.writelines([prefix, text, *payload])


def read(path: Path, size: tuple[int, int], checksum: bool = True) -> tuple[Stamps, Entry]:
    """Maps a file into memory.

    Args:
        path: of the file.
        size: height and width of its image.
        checksum: compare the payload's, which means reading all of it.

    Returns:
        The stamps, and the entry. Its arrays may be written to, which changes no file.

    Raises:
        DamagedError: the file is not whole.
        OSError: there is none, or it can't be read.
    """
    if path.stat().st_size == 0:  # which NumPy does not map
        raise DamagedError("it is empty")
    raw = np.asarray(np.memmap(path, dtype=np.uint8, mode="c"))
    with parsing(DamagedError):
        return _parsed(raw, size, checksum)


def _parsed(raw: NDArray[np.uint8], size: tuple[int, int], checksum: bool) -> tuple[Stamps, Entry]:
    header, payload = _split(raw)
    height, width = header["own_size"]
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise DamagedError(f"it says that the masks are {height} x {width}")
    pixels, packed = size[0] * size[1] * 3, 2 * -(-height * width // 8)
    if len(payload) != pixels + packed * len(header["classes"]):
        raise DamagedError(f"it has {len(payload)} bytes of data")
    if checksum and zlib.crc32(payload.data) != header["crc"]:
        raise DamagedError("its checksum differs")
    starts = range(pixels, len(payload), packed)
    masks = {
        class_id: payload[start : start + packed].reshape(2, -1)
        for class_id, start in zip(header["classes"], starts, strict=True)
    }
    return header["stamps"], Entry(payload[:pixels].reshape(*size, 3), (height, width), masks)


def _split(raw: NDArray[np.uint8]) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Header and payload; raises DamagedError where the header is not whole."""
    prefix = raw[:_PREFIX].tobytes()
    if len(prefix) < _PREFIX or not prefix.startswith(_MAGIC):
        raise DamagedError("its first bytes are not a cache's")
    length, crc = (int.from_bytes(prefix[at : at + 4], "little") for at in (_PREFIX - 8, _PREFIX - 4))
    text = raw[_PREFIX : _PREFIX + length].tobytes()
    if zlib.crc32(text) != crc:
        raise DamagedError("its header is not whole")
    return json.loads(text), raw[_PREFIX + length :]
