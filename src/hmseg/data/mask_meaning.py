"""What the pixels of a user's mask mean: which are the object, which don't count; doubt is refused.

Nothing here opens a file (that is `hmseg.data.mask_files`), and nothing imports PyTorch.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from hmseg.errors import ConfigError, DataError, unknown

READINGS = ("auto", "bright", "labels", "nonzero", "opaque")
"""The named ones; see :func:`meaning`. Beside them a number, or a colour ``#rrggbb``."""
HALF = 128
LABEL, VOID = 63, 255
"""Labels beside a void of 255 are small; larger ones may be grey of an edge."""
VOID_COLOUR = (224, 224, 192)
"""Number 255 of VOC's palette, which many tools have taken over."""
_WHITE = 2**16 - 1
_LIGHT, _NEARLY_WHITE = 192, 240
_ALIKE = 32
_MOST_COLOURS = 32
"""More are shades of an edge or of a photo, no labels."""

Bools = NDArray[np.bool_]
Numbers = NDArray[np.integer[Any]]
Reading = str | int
_Number = TypeVar("_Number", bound=np.generic)


class ObjectMask(NamedTuple):
    """What a mask says.

    Attributes:
        object: (H, W), true on the object.
        void: (H, W), true where nothing is said; nowhere true on the object.
    """

    object: Bools
    void: Bools


class MaskPixels(NamedTuple):
    """The pixels of a mask, decoded.

    Attributes:
        numbers: (H, W), grey values or indices of a palette; None for colours.
        colours: (H, W, 3) of 8 bits; None for grey.
        alpha: (H, W) of 8 bits; None where nothing is transparent.
        lossy: were they stored with loss (JPEG)? Then single numbers say nothing.
    """

    numbers: Numbers | None
    colours: NDArray[np.uint8] | None = None
    alpha: NDArray[np.uint8] | None = None
    lossy: bool = False


def check_reading(value: object, setting: str) -> Reading:
    """The setting that says how masks are read.

    Raises:
        ConfigError: none of `READINGS`, no number from 0 to 65535, no colour.

    Example:
        >>> check_reading("labels", "mask"), check_reading("15", "mask"), check_reading("#FF0000", "mask")
        ('labels', 15, '#ff0000')
    """
    text = str(value).strip().lower()
    if text in READINGS or re.fullmatch(r"#[0-9a-f]{6}", text):
        return text
    if text.isdecimal() and int(text) <= 2**16 - 1:
        return int(text)
    raise ConfigError(unknown(setting, value, (*READINGS, "a number", "a colour '#rrggbb'")))


def meaning(pixels: MaskPixels, reading: Reading, what: str, setting: str) -> ObjectMask:
    """Object and void of a mask.

    - ``auto``: transparency where it varies; else colours, of palettes too; of grey a single label beside 0,
      a small label beside a void of 255, or light on dark. What has two readings is refused.
    - ``bright``: grey (or colours made grey) of 128 and more.
    - ``labels``: all but 0 (of a palette the index, else black); 255, or VOC's colour of it, is void.
    - ``nonzero``: the same, 255 too.
    - ``opaque``: what isn't transparent.
    - a number: the pixels of this label or index. A colour ``#rrggbb``: the pixels of this colour.

    Args:
        pixels: of the mask.
        reading: from :func:`check_reading`.
        what: the mask is, for messages.
        setting: that chooses the reading, for messages.

    Raises:
        DataError: the pixels can be read in more than one way, or not in the one that is set.
    """
    if reading == "auto":
        found, void = _Auto(pixels, what, setting).read()
    else:
        found, void = _as_set(pixels, reading, what, setting)
        if pixels.alpha is not None and reading != "opaque":
            found = found & (pixels.alpha >= HALF)
    nowhere = np.zeros_like(found)
    return ObjectMask(found, nowhere if void is None else void & ~found)


_Found = tuple[Bools, Bools | None]


def _as_set(pixels: MaskPixels, reading: Reading, what: str, setting: str) -> _Found:
    numbers, colours = pixels.numbers, pixels.colours
    if reading == "opaque":
        if pixels.alpha is None:
            raise DataError(f"{what} has no transparency: {setting}=opaque can't be, choose another")
        return pixels.alpha >= HALF, None
    if reading == "bright":
        grey = grey_of(colours) if colours is not None else _byte(numbers)
        return grey >= HALF, None
    if isinstance(reading, int):
        if numbers is None:
            raise DataError(f"{what} has colours, no numbers: give {setting}='#rrggbb'")
        return numbers == reading, None
    if reading.startswith("#"):
        wanted = [int(reading[place : place + 2], 16) for place in (1, 3, 5)]
        shown = colours if colours is not None else np.repeat(_byte(numbers)[..., None], 3, axis=2)
        return np.asarray((shown == wanted).all(axis=2)), None
    marked = np.asarray(numbers != 0 if numbers is not None else _some(colours).any(axis=2))
    if reading == "nonzero":
        return marked, None
    void = numbers == VOID if numbers is not None else (_some(colours) == VOID_COLOUR).all(axis=2)
    return marked & ~void, void


class _Auto:
    """The reading that a mask itself tells, or a refusal with those that it may have."""

    def __init__(self, pixels: MaskPixels, what: str, setting: str) -> None:
        self._pixels, self._what, self._setting = pixels, what, setting

    def read(self) -> _Found:
        numbers, colours, alpha, _ = self._pixels
        if alpha is not None and (alpha >= HALF).any() and (alpha < HALF).any():
            return self._cut_out(alpha >= HALF)
        if colours is None:
            return self._grey(numbers)
        if numbers is not None and not _told_apart(numbers, colours):
            return self._grey(numbers)  # several indices of one colour
        if (colours == colours[..., :1]).all():
            return self._grey(colours[..., 0])
        return self._coloured(colours)

    def _cut_out(self, opaque: Bools) -> _Found:
        """Transparency says what the object is, unless the opaque part is a mask by itself."""
        numbers, colours, _, _ = self._pixels
        shown = np.repeat(_byte(numbers)[..., None], 3, axis=2) if colours is None else colours
        present, _ = _colours_in(shown[opaque])
        alike = int(np.ptp(present.astype(np.int16), axis=0).max()) <= _ALIKE
        if alike or len(present) > _MOST_COLOURS:  # a silhouette; a photo that was cut out
            return opaque, None
        if len(present) == 2 and present.max(axis=1).min() < LABEL:  # black and something else
            dark = shown.max(axis=2) < LABEL
            return opaque & ~dark, None
        self._refuse(
            f"is transparent in parts and has {len(present)} colours where it isn't",
            {"opaque": "all that is opaque is the object", "bright": "only what is bright"},
        )

    def _grey(self, numbers: Numbers | None) -> _Found:
        numbers = _some(numbers)
        present, counts = np.unique(numbers, return_counts=True)
        if present.size > 2 and present[-1] >= _WHITE // 2:  # grey of 16 bits
            numbers = np.where(numbers == _WHITE, VOID, numbers) if present[-2] <= VOID else _byte(numbers)
            present, counts = np.unique(numbers, return_counts=True)
        values = present.tolist()
        labels = [each for each in values if each != 0]
        if not labels:
            return np.zeros(numbers.shape, np.bool_), None
        if self._pixels.lossy:
            return self._light(numbers, present, counts)
        if len(labels) == 1 and (0 in values or labels[0] == 1 or labels[0] >= HALF):
            return np.asarray(numbers == labels[0]), None
        if len(labels) == 1:
            self._refuse(
                f"holds nothing but the number {labels[0]}",
                {"nonzero": "all of it is the object", "bright": "nothing is"},
            )
        if labels[-1] == VOID and labels[0] <= LABEL and len(labels) == 2:
            if 0 in values:
                return np.asarray(numbers == labels[0]), np.asarray(numbers == VOID)
            self._refuse(
                f"holds {labels[0]} and 255, but no 0",
                {"bright": "255 is the object", "labels": f"{labels[0]} is, and 255 void"},
            )
        small = all(each <= LABEL or each == VOID for each in labels)
        if small and (len(labels) > 2 or VOID not in labels) or present[-1] > VOID:
            self._several([str(each) for each in labels if each != VOID], "numbers", str(labels[0]))
        return self._light(numbers, present, counts)

    def _light(self, numbers: Numbers, present: Numbers, counts: Numbers) -> _Found:
        """Light on dark: 128 and more, where what lies between is an edge."""
        light = counts[present >= _LIGHT].sum()
        noisy = self._pixels.lossy or present.size > 8 or (present >= _NEARLY_WHITE).sum() > 1
        # Many levels are noise, near black and near white; of few all between must be edges.
        start = LABEL if noisy else min(int(present[0]), LABEL)
        between = counts[(present > start) & (present < _LIGHT)].sum()
        trimap = present.size == 3 and present[0] == 0 and present[1] in (127, 128) and present[2] == 255
        if light > between and not trimap:
            return np.asarray(numbers >= HALF), None
        shown = ", ".join(map(str, present[:6].tolist())) + ", …" * (present.size > 6)
        self._refuse(
            f"holds grey of many kinds ({shown})",
            {
                "bright": "128 and more is the object",
                "labels": "all but 0 is, and 255 void",
                str(present[-1]): f"only {present[-1]} is",
            },
        )

    def _coloured(self, colours: NDArray[np.uint8]) -> _Found:
        present, counts = _colours_in(colours.reshape(-1, 3))
        black = np.asarray((present == 0).all(axis=1))
        void = np.asarray((present == VOID_COLOUR).all(axis=1)) & (len(present) > 2)
        labels = present[~black & ~void]
        if black.any() and len(labels) == 1 and not self._pixels.lossy:
            return _pixels_of(colours, labels[0]), _pixels_of(colours, VOID_COLOUR)
        dark, light = present.max(axis=1) <= LABEL, present.min(axis=1) >= _LIGHT
        if dark.any() and light.any() and (dark | light).all():
            return np.asarray(grey_of(colours) >= HALF), None
        strongest = colours.max(axis=2)
        if (shades := _shades(present, counts)) is not None:
            return np.asarray(strongest >= shades / 2), None
        if len(labels) <= _MOST_COLOURS and not self._pixels.lossy:
            names = ["#{:02x}{:02x}{:02x}".format(*each) for each in labels.tolist()]
            self._several(names, "colours", f"'{names[0]}'", on_black=bool(black.any()))
        self._refuse(
            f"has {len(present)} colours, as a photo has: a mask was expected",
            {"bright": "what is bright is the object", "nonzero": "all but black is"},
        )

    def _several(self, labels: list[str], kind: str, one: str, on_black: bool = True) -> NoReturn:
        shown = ", ".join(labels[:5]) + ", …" * (len(labels) > 5)
        every = {"labels": "all of them are the object (255, or VOC's colour of it, is void)"}
        if not on_black:
            every = {"bright": "those that are bright are the object"}
        self._refuse(f"has several {kind} ({shown})", {**every, one: "only this one is"})

    def _refuse(self, came: str, readings: dict[str, str]) -> NoReturn:
        ways = "; ".join(f"{self._setting}={name}: {text}" for name, text in readings.items())
        raise DataError(f"{self._what} {came}: say what it means ({ways})")


def grey_of(colours: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Colours (H, W, 3) as grey (H, W), as Pillow makes it (ITU-R 601-2)."""
    red, green, blue = (_some(colours)[..., channel].astype(np.uint32) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


def _some(value: NDArray[_Number] | None) -> NDArray[_Number]:
    assert value is not None
    return value


def _byte(numbers: Numbers | None) -> NDArray[np.uint8]:
    """Grey of up to 16 bits as 8; what fits into 8 stays as it is."""
    numbers = _some(numbers)
    if numbers.dtype == np.uint8 or numbers.max(initial=0) <= 255:
        return numbers.astype(np.uint8)
    return np.asarray(np.rint(numbers * (255 / _WHITE)), dtype=np.uint8)


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(…, 3) as one number each."""
    red, green, blue = (colours[..., channel].astype(np.int64) for channel in range(3))
    return np.asarray((red << 16) | (green << 8) | blue)


def _colours_in(colours: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Numbers]:
    """The different colours (N, 3) among (M, 3), and how many pixels have each."""
    packed, counts = np.unique(_packed(colours), return_counts=True)
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(np.uint8), counts


def _pixels_of(colours: NDArray[np.uint8], wanted: NDArray[np.uint8] | tuple[int, ...]) -> Bools:
    return np.asarray((colours == wanted).all(axis=2))


def _told_apart(indices: Numbers, colours: NDArray[np.uint8]) -> bool:
    """Has every index in use a colour of its own?"""
    both = np.unique(_packed(colours) << 16 | indices)
    return len(np.unique(both >> 16)) == len(np.unique(both & 0xFFFF))


def _shades(present: NDArray[np.uint8], counts: Numbers) -> int | None:
    """The strongest channel of one colour, where all others are its shades on black; else None."""
    strength = present.max(axis=1).astype(np.float64)
    strong = strength >= HALF
    if not strong.any():
        return None
    main = present[strong][counts[strong].argmax()].astype(np.float64)
    expected = main * (strength / main.max())[:, None]
    far = np.abs(present - expected).max(axis=1) > 48  # what JPEG may make of an edge
    between = (strength > main.max() * 0.25) & (strength < main.max() * 0.75)
    if counts[far].sum() > 0.01 * counts.sum() or counts[between].sum() > counts[strong].sum():
        return None
    return int(main.max()) if (strength <= LABEL).any() else None
