"""The one place where image files are opened: which formats, how large, whole or not; without PyTorch.

Pillow asks every decoder that it has whether it knows a file, whatever its name (an EPS called ``.jpg`` would
start Ghostscript); here only those of `FORMATS` are asked, and whatever they raise becomes one line.
"""

from __future__ import annotations

import stat
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hmseg.errors import DataError
from hmseg.untrusted import opened

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
"""By Pillow's names; still images only."""
ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
"""Of files in these formats, lower case."""
OTHER_ENDINGS = (
    *(".avif", ".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw"),
    *(".raf", ".orf", ".rw2"),
)
"""Of images that are not read here."""
MOST_PIXELS = 178_956_970
"""Of one image: where Pillow, too, refuses what may be a decompression bomb."""
ORIENTATION = 0x0112
"""EXIF tag: how the camera was held; 1 to 8."""
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class TooLargeError(DataError):
    """An image of more pixels than are taken."""


class Still:
    """A still image of which the header has been read.

    Args:
        image: of Pillow's, not decoded yet where it comes from a file.
        what: it is, for messages: ``image a.jpg``.
        content: the file's bytes; None for an image that a user has opened.

    Attributes:
        deep: has it more than 8 bits a channel? Pillow cuts colours of 16 bits to their upper 8.
    """

    def __init__(self, image: Image.Image, what: str, content: bytes | None = None) -> None:
        self.image, self.what, self.content = image, what, content
        tiles = getattr(image, "tile", None) or []
        self.deep = image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in tiles)
        # A PNG has its notes behind its pixels, and of a TIFF they are gone when it is decoded.
        self._orientation = None if image.format == "PNG" else _noted_orientation(image)

    @property
    def orientation(self) -> int:
        """As the camera noted it, 1 to 8; 1 is upright. Raises DataError where the image is damaged."""
        if self._orientation is None:
            self._orientation = _noted_orientation(self.decoded())
        return self._orientation

    @property
    def left_to_turn(self) -> int:
        """The orientation of the decoded pixels: decoders of TIFF turn them upright themselves."""
        return 1 if self.image.format == "TIFF" else self.orientation

    def decoded(self) -> Image.Image:
        """The image with its pixels. Raises DataError where it is damaged."""
        try:
            self.image.load()
        except Exception as error:  # decoders raise whatever comes to them
            raise damaged(self.what, error) from None
        return self.image

    def deep_pixels(self) -> NDArray[np.generic]:
        """(H, W) or (H, W, 3) of an image with more than 8 bits a channel, RGB, without transparency.

        Raises:
            DataError: damaged, or opened by a user with Pillow, which has lost half of each colour.
        """
        if self.image.mode.startswith(("I", "F")):
            return np.asarray(self.decoded())
        if self.content is None:
            raise DataError(
                f"{self.what} has colours of 16 bits, of which Pillow keeps 8: give the file's path or array"
            )
        import cv2

        found = cv2.imdecode(np.frombuffer(self.content, np.uint8), cv2.IMREAD_UNCHANGED)
        if found is None or found.ndim != 3 or found.shape[2] not in (3, 4):
            raise DataError(f"{self.what} has colours of 16 bits that can't be decoded: save it with 8 bits")
        return np.ascontiguousarray(found[..., 2::-1])  # BGR


def read_file(path: Path, kind: str) -> bytes:
    """The bytes of a file.

    Args:
        path: of the file.
        kind: what it is, in messages: ``image`` or ``mask``.

    Raises:
        DataError: it is missing, a folder, a pipe or the like, or may not be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading from a pipe would wait for ever
            came = "a folder" if path.is_dir() else "a pipe or device"
            raise DataError(f"{kind} {path} is {came}, a file was expected: remove it or restore the file")
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(
            f"{kind} {path} does not exist: check the data folder and the list naming it"
        ) from None
    except PermissionError:
        raise DataError(f"{kind} {path} may not be read: change its permissions") from None
    except OSError as error:
        raise DataError(f"{kind} {path} can't be read ({error.strerror}): check the disk") from None


def open_still(content: bytes, what: str, formats: tuple[str, ...] = FORMATS) -> Still:
    """The still image in a file's bytes; its pixels are decoded later.

    Args:
        content: the whole file.
        what: it is, for messages.
        formats: Pillow's names of those that are tried.

    Raises:
        TooLargeError: more than `MOST_PIXELS` pixels.
        DataError: not an image of these formats, damaged, or several images in one file.
    """
    image = _opened(BytesIO(content), what, formats)
    if image.format == "PNG":
        _check_png(content, what)
    return Still(image, what, content)


def open_file(path: Path, kind: str) -> Still:
    """As :func:`open_still`, of a file; ``kind`` is ``image`` or ``mask``. Raises DataError."""
    return open_still(read_file(path, kind), f"{kind} {path}")


def size_of(path: Path, kind: str) -> tuple[int, int]:
    """Width and height as stored, from the file's header alone. Raises DataError."""
    try:
        with opened(path) as file:
            return _opened(file, f"{kind} {path}", FORMATS).size
    except OSError as error:
        raise DataError(f"{kind} {path} can't be read ({error.strerror})") from None


def _opened(file: BinaryIO, what: str, formats: tuple[str, ...]) -> Image.Image:
    try:
        image: Image.Image = Image.open(file, formats=formats)
        frames = getattr(image, "n_frames", 1)
    except _BOMB:
        raise too_large(what) from None
    except UnidentifiedImageError:
        if _is_tiff(file) and "TIFF" in formats:
            raise DataError(
                f"{what} is a TIFF of a kind that isn't read here (64 bits a pixel, as NumPy's integers, "
                "or more channels than colours): save it with 8, 16 or 32 bits, one channel or RGB"
            ) from None
        raise DataError(
            f"{what} is not an image of the formats that are read here ({', '.join(formats)}): convert it, "
            "or replace it by the original file"
        ) from None
    except Exception as error:  # decoders raise whatever comes to them
        raise damaged(what, error) from None
    # In an MPO file (JPEG of some cameras) the first frame is the photo and the others are views of it.
    if frames > 1 and image.format != "MPO":
        raise DataError(
            f"{what} has {frames} frames ({image.format}), a still image was expected: save the frame "
            "that belongs to the data as a file of its own"
        )
    if image.width * image.height > MOST_PIXELS:
        raise too_large(what)
    return image


def _is_tiff(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _noted_orientation(image: Image.Image) -> int:
    """How the camera was held, by EXIF or XMP, 1 to 8; 1, upright, where it isn't said or makes no sense."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # the pixels can be good where the notes beside them are not
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turned(pixels: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Stored pixels as they are displayed.

    Args:
        pixels: (H, W) or (H, W, C), as stored.
        orientation: EXIF's, 1 to 8.

    Returns:
        (H, W, …), of 5 to 8 (W, H, …); a contiguous copy where anything is turned.

    Example:
        >>> turned(np.array([[1, 2, 3], [4, 5, 6]]), 6).tolist()  # by a quarter to the right
        [[4, 1], [5, 2], [6, 3]]
    """
    upright = {
        2: lambda: pixels[:, ::-1],
        3: lambda: pixels[::-1, ::-1],
        4: lambda: pixels[::-1],
        5: lambda: pixels.swapaxes(0, 1),
        6: lambda: pixels.swapaxes(0, 1)[:, ::-1],
        7: lambda: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: lambda: pixels.swapaxes(0, 1)[::-1],
    }.get(orientation)
    return pixels if upright is None else np.ascontiguousarray(upright())


def damaged(what: str, error: BaseException) -> DataError:
    """The error for what a decoder gave up on."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DataError(f"{what} is damaged ({reason}): replace it by the original file")


def too_large(what: str) -> TooLargeError:
    """The error for a picture that is not opened for its size."""
    return TooLargeError(
        f"{what} has more than {MOST_PIXELS / 1e6:.0f} million pixels, which are not opened at once: make it "
        "smaller, or cut it into parts"
    )


def _check_png(content: bytes, what: str) -> None:
    """A PNG that is cut behind its last pixel, or has a flipped bit in them, passes Pillow's decoder."""
    place, view = 8, memoryview(content)
    while place + 12 <= len(view):
        length, kind = int.from_bytes(view[place : place + 4]), bytes(view[place + 4 : place + 8])
        end = place + 12 + length
        if end > len(view):
            break
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            noted = int.from_bytes(view[end - 4 : end])
            if zlib.crc32(view[place + 4 : end - 4]) != noted:
                raise damaged(what, ValueError(f"bad checksum of a {kind.decode()} chunk"))
        if kind == b"IEND":
            return
        place = end
    raise damaged(what, ValueError("the file is truncated"))
