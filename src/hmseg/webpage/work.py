"""What the page asks for, computed with :class:`hmseg.Segmenter` and drawn as layers.

One network serves all pages and maskings; each page has its own supports, encoded once for each masking.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmseg.errors import ConfigError, unknown
from hmseg.masking import MASKINGS, Masking
from hmseg.networks.fewshot import Levels
from hmseg.segmenter import Segmenter
from hmseg.segmenter import Support as Shown
from hmseg.segmenter.device import computing
from hmseg.visualise import four_maskings, masking_maps, point_maps
from hmseg.visualise.pictures import enlarged
from hmseg.webpage import layers
from hmseg.webpage.limits import RefusedError
from hmseg.webpage.state import Session, Sessions

Wanted = Mapping[str, Any]


class Work:
    """Computes for pages.

    Args:
        segmenter: of the checkpoint, without supports.
        reference: the masking with which the others are compared; None: the checkpoint's own.

    Attributes:
        maskings: the four by name; the checkpoint's own and the reference have their own options.
        own: name of the masking of the checkpoint.
        reference: name of the reference.
    """

    def __init__(self, segmenter: Segmenter, reference: Masking | None = None) -> None:
        network = segmenter.network
        self.segmenter = segmenter
        self.maskings: dict[str, Masking] = four_maskings(network.masking)
        self.own = masking_name(network.masking)
        self.maskings[self.own] = network.masking
        self.reference = masking_name(reference or network.masking)
        self.maskings[self.reference] = reference or network.masking
        self.levels = [level for level in network.head.levels if level not in network.head.query_only]

    def about(self) -> dict[str, Any]:
        """What the page says of the network, and offers."""
        network = self.segmenter.network
        return {
            "model": type(network.head).__name__.removesuffix("Head"),
            "backbone": type(network.backbone).__name__.removesuffix("Backbone"),
            "side": self.segmenter.side,
            "device": str(self.segmenter.device),
            "maskings": list(self.maskings),
            "own": self.own,
            "reference": self.reference,
            "levels": self.levels,
            "colours": list(layers.COLOURS),
        }

    def predict(self, sessions: Sessions, session: Session, wanted: Wanted) -> dict[str, Any]:
        """Segment ``query`` with ``masking``, and set it against the reference.

        Returns:
            Keys of pictures; ``classes`` in the order of their numbers with the share of pixels of each;
            ``agreement``, the IoU of what is marked with the reference's, None for the reference itself.

        Raises:
            RefusedError: no such query or masking, or no supports yet.
        """
        name, query = self._masking(wanted), str(wanted.get("query"))
        found, file = self._prediction(sessions, session, query, name)
        if name == self.reference:
            return {**found, "change": None, "agreement": None}
        labels = layers.labels_of(file)
        other = layers.labels_of(self._prediction(sessions, session, query, self.reference)[1])
        change = sessions.keep(session, layers.change_layer(labels, other), image=query)
        return {**found, "change": change, "agreement": agreement(labels, other)}

    def fill(self, sessions: Sessions, session: Session, wanted: Wanted) -> dict[str, Any]:
        """What each masking leaves of ``support`` at ``level``, and where hybrid masking filled in.

        Returns:
            ``activation``: keys of pictures by masking, on one scale; ``filled``: one of where from;
            ``share``: of the features inside the mask that come from the masked image, mean.
        """
        shown, mask = self._shown(sessions, session, "hybrid", wanted)
        size = (mask.shape[0], mask.shape[1])
        maps = masking_maps(
            self.segmenter.network, shown.image, shown.mask, self._level(wanted), self.maskings
        )
        most = max(float(np.percentile(each, 99.5)) for each in maps.activation.values())
        filled = maps.filled["hybrid"]
        height, width = shown.mask.shape
        inside = enlarged(filled, (height, width), smooth=False)[shown.mask]
        return {
            "activation": {
                name: sessions.keep(session, layers.heat_layer(values, size, most, mask))
                for name, values in maps.activation.items()
            },
            "filled": sessions.keep(session, layers.share_layer(filled, mask)),
            "share": float(inside.mean()),
        }

    def correlate(self, sessions: Sessions, session: Session, wanted: Wanted) -> dict[str, Any]:
        """How similar each part of ``support`` under ``masking`` is to the point ``x``, ``y`` of ``query``.

        ``x`` and ``y`` are shares of the query's width and height, 0 to 1.

        Returns:
            ``heat``: key of a picture; ``most``: the largest similarity, which is brightest there.
        """
        name, level = self._masking(wanted), self._level(wanted)
        x, y = (_share(wanted, key) for key in "xy")
        shown, mask = self._shown(sessions, session, name, wanted)
        side = self.segmenter.side
        point = (min(side - 1, int(x * side)), min(side - 1, int(y * side)))
        query = self._query_levels(session, str(wanted.get("query")))
        values = point_maps(query, shown.kept.levels, point, (side, side))[level]
        most = float(values.max())
        layer = layers.heat_layer(values, (mask.shape[0], mask.shape[1]), max(most, 1e-6), mask)
        return {"heat": sessions.keep(session, layer, image=str(wanted.get("query"))), "most": most}

    def _prediction(
        self, sessions: Sessions, session: Session, query: str, masking: str
    ) -> tuple[dict[str, Any], bytes]:
        """What is known of a query under a masking, computed the first time; and its label map as a file."""
        place = ("prediction", masking, query)
        if place not in session.kept:
            image = session.image(query)
            segmenter = self._fitted(sessions, session, masking)
            start = time.perf_counter()
            found = segmenter.predict(image)
            seconds = time.perf_counter() - start
            file = layers.mask_file(found.labels)

            def overlay() -> bytes:  # looks the image up: what is removed is not held here
                return layers.overlay_file(session.image(query), layers.labels_of(file))

            keep = partial(sessions.keep, session, image=query)
            result = {
                "overlay": keep(layers.overlay_layer(found.labels)),
                "mask": keep(layers.mask_layer(found.labels)),
                "probability": keep(layers.heat_layer(found.scores.max(axis=0), image.shape[:2], 1.0)),
                "file": keep(file),
                "overlay_file": keep(overlay),
                "classes": [
                    {
                        "name": each,
                        "share": float((found.labels == number).mean()),
                        "absent": each in found.absent,
                    }
                    for number, each in enumerate(found.names, start=1)
                ],
                "seconds": seconds,
            }
            session.kept[place] = (result, file)
        known: tuple[dict[str, Any], bytes] = session.kept[place]
        return known

    def _fitted(self, sessions: Sessions, session: Session, masking: str) -> Segmenter:
        """The session's segmenter of a masking, its supports encoded."""
        if not session.supports:
            raise RefusedError("there is no support yet: mark the object in an image first", 409)
        place = ("segmenter", masking)
        if place not in session.kept:
            made = self.segmenter.with_masking(self.maskings[masking])
            for support in session.supports.values():
                made.add(session.image(support.image), support.mask, support.name)
            sessions.hold_encoded(session, place, made)
        segmenter: Segmenter = session.kept[place]
        return segmenter

    def _shown(
        self, sessions: Sessions, session: Session, masking: str, wanted: Wanted
    ) -> tuple[Shown, NDArray[np.bool_]]:
        """A support as the network sees it, and its mask at the image's size."""
        key = wanted.get("support")
        support = session.support(key)
        alike = [name for name, each in session.supports.items() if each.name == support.name]
        segmenter = self._fitted(sessions, session, masking)
        return segmenter.supports[support.name][alike.index(str(key))], support.mask

    def _query_levels(self, session: Session, query: str) -> Levels:
        """The query's maps; of one query at a time, since they are large."""
        place = ("levels", query)
        if place not in session.kept:
            for old in [what for what in session.kept if what[0] == "levels"]:
                del session.kept[old]
            encoder = self.segmenter.encoder
            with computing(encoder.device, encoder.precision):
                session.kept[place] = encoder.network.encode_query(encoder.squares([session.image(query)]))
        levels: Levels = session.kept[place]
        return levels

    def _masking(self, wanted: Wanted) -> str:
        name = str(wanted.get("masking"))
        if name not in self.maskings:
            raise RefusedError(unknown("masking", name, self.maskings))
        return name

    def _level(self, wanted: Wanted) -> int:
        level = wanted.get("level")
        if level not in self.levels:
            raise RefusedError(unknown("level", level, self.levels))
        return int(level)


def masking_name(masking: Masking) -> str:
    """Which of the four a masking is.

    Raises:
        ConfigError: none of them.
    """
    for name, kind in MASKINGS.items():
        if isinstance(masking, kind):
            return name
    raise ConfigError(f"the page compares {', '.join(MASKINGS)}; {masking!r} is none of them")


def agreement(labels: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """IoU of what two label maps mark alike, classes and all; 1 where both mark nothing.

    Example:
        >>> agreement(np.array([[0, 1, 2]], np.uint8), np.array([[0, 1, 1]], np.uint8))
        0.5
    """
    either = (labels > 0) | (other > 0)
    return float(((labels == other) & either).sum() / either.sum()) if either.any() else 1.0


def _share(wanted: Wanted, key: str) -> float:
    value = wanted.get(key)
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RefusedError(f"{key}: expected a number from 0 to 1, got {str(value)[:40]}")
    return float(value)
