"""What the server remembers of the pages that are open: in memory only, bounded, under random keys."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmseg.webpage.limits import Limits, RefusedError

KEY_BYTES = 16
"""Of randomness in each key: not to be guessed."""

Picture = Callable[[], bytes]
"""Makes a result's PNG when it is asked for."""


class Result(NamedTuple):
    """A picture of a result.

    Attributes:
        picture: makes the PNG when it is asked for.
        image: key of the query that it is of, with which it goes; None for what goes with the supports alone.
    """

    picture: Picture
    image: str | None = None


@dataclass(frozen=True)
class Support:
    """An image with its object marked.

    Attributes:
        image: key of the image.
        mask: (H, W), of the image's size.
        name: of the class.
    """

    image: str
    mask: NDArray[np.bool_]
    name: str


@dataclass
class Session:
    """What one open page has given, and its results.

    Attributes:
        images: (H, W, 3) RGB by key: supports' and queries'.
        supports: by key, in the order in which they came.
        results: pictures by key, the oldest first.
        kept: what was computed from the supports, by what it is; as the results, gone when they change.
    """

    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    supports: dict[str, Support] = field(default_factory=dict)
    results: OrderedDict[str, Result] = field(default_factory=OrderedDict)
    kept: dict[tuple[str, ...], Any] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        """Of all images and masks."""
        images: int = sum(image.shape[0] * image.shape[1] for image in self.images.values())
        return images + sum(int(support.mask.size) for support in self.supports.values())

    def image(self, key: object) -> NDArray[np.uint8]:
        """An image (H, W, 3).

        Raises:
            RefusedError: there is none of this key.
        """
        if not isinstance(key, str) or key not in self.images:
            raise RefusedError("this image is not held any more: drop it again", 404)
        return self.images[key]

    def support(self, key: object) -> Support:
        """A support.

        Raises:
            RefusedError: there is none of this key.
        """
        if not isinstance(key, str) or key not in self.supports:
            raise RefusedError("this support image is not held any more: add it again", 404)
        return self.supports[key]

    def add_support(self, support: Support) -> str:
        """Hold a support; its key."""
        key = new_key()
        self.supports[key] = support
        self._outdate()
        return key

    def remove_support(self, key: str) -> None:
        """Forget a support, if there is one of this key; its image stays."""
        if self.supports.pop(key, None) is not None:
            self._outdate()

    def remove_image(self, key: str) -> None:
        """Forget an image and the supports made of it."""
        self.images.pop(key, None)
        for name in [name for name, support in self.supports.items() if support.image == key]:
            self.remove_support(name)
        for what in [what for what in self.kept if key in what]:
            del self.kept[what]
        for name in [name for name, result in self.results.items() if result.image == key]:
            del self.results[name]

    def _outdate(self) -> None:
        self.results.clear()
        self.kept.clear()


class Sessions:
    """The open pages.

    Args:
        limits: how much is held.

    Attributes:
        lock: to be held by whoever changes a session or computes with one: one at a time.

    Example:
        >>> sessions = Sessions(Limits(max_sessions=1))
        >>> first, second = sessions.open(), sessions.open()
        >>> sessions.get(second).supports
        {}
        >>> sessions.get(first)
        Traceback (most recent call last):
        hmseg.webpage.limits.RefusedError: the server has forgotten this page ...
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.lock = threading.RLock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self) -> str:
        """A new session's key; where there are too many, the one unused for longest is forgotten."""
        key = new_key()
        with self.lock:
            self._sessions[key] = Session()
            while len(self._sessions) > self.limits.max_sessions:
                self._sessions.popitem(last=False)
        return key

    def get(self, key: str) -> Session:
        """The session of this key.

        Raises:
            RefusedError: there is none (any more).
        """
        with self.lock:
            if key not in self._sessions:
                raise RefusedError(
                    "the server has forgotten this page (it was started anew, or other pages needed the "
                    "room): reload the page",
                    410,
                )
            self._sessions.move_to_end(key)
            return self._sessions[key]

    def close(self, key: str) -> None:
        """Forget a session, if there is one of this key."""
        with self.lock:
            self._sessions.pop(key, None)

    def add_image(self, session: Session, image: NDArray[np.uint8]) -> str:
        """Hold an image (H, W, 3); its key. Pages unused for longest are forgotten where they take the room.

        Raises:
            RefusedError: this page alone holds as much as may be held.
        """
        with self.lock:
            self._make_room(session, image.shape[0] * image.shape[1], len(session.images), "images")
            key = new_key()
            session.images[key] = image
        return key

    def add_support(self, session: Session, support: Support) -> str:
        """Hold a support; its key. Pages unused for longest are forgotten where their pixels take the room.

        Raises:
            RefusedError: this page alone holds as much as may be held.
        """
        with self.lock:
            self._make_room(session, support.mask.size, len(session.supports), "supports")
            return session.add_support(support)

    def _make_room(self, session: Session, pixels: int, held: int, what: str) -> None:
        limits = self.limits
        room = limits.max_held_pixels * limits.max_pixels
        most = limits.max_images if what == "images" else limits.max_supports
        if held >= most or session.pixels + pixels > room:
            raise RefusedError(
                f"this page holds {held} {what} and {session.pixels / 1e6:.3g} million pixels; {most} {what} "
                f"and {room / 1e6:.3g} million pixels are the most: remove one",
                413,
            )
        while sum(each.pixels for each in self._sessions.values()) + pixels > room:
            oldest = next(key for key, each in self._sessions.items() if each is not session)
            del self._sessions[oldest]

    def hold_encoded(self, session: Session, place: tuple[str, ...], encoded: Any) -> None:
        """Keep what supports were encoded to; that of pages unused for longest makes room.

        Args:
            session: whose supports they are.
            place: its key in ``kept``.
            encoded: for each of the session's supports.
        """
        with self.lock:
            held = [
                (each, what)
                for each in (*(one for one in self._sessions.values() if one is not session), session)
                for what in each.kept
                if what[0] == place[0]
            ]
            count = sum(len(each.supports) for each, _ in held) + len(session.supports)
            for each, what in held:  # the oldest page first, this one last
                if count <= self.limits.max_encoded:
                    break
                del each.kept[what]
                count -= len(each.supports)
            session.kept[place] = encoded

    def keep(self, session: Session, picture: Picture | bytes, image: str | None = None) -> str:
        """Hold a result's picture under a new key; the oldest one goes where there are too many.

        Args:
            session: that it is of.
            picture: the PNG, or what makes it when it is asked for. It must not hold an image itself.
            image: key of the query that it is of; it goes with that.
        """
        key = new_key()
        made = (lambda: picture) if isinstance(picture, bytes) else picture
        with self.lock:
            session.results[key] = Result(made, image)
            while len(session.results) > self.limits.max_results:
                session.results.popitem(last=False)
        return key

    def result(self, key: str) -> bytes:
        """A result's PNG.

        Raises:
            RefusedError: there is none of this key.
        """
        for session in list(self._sessions.values()):
            result = session.results.get(key)
            if result is not None:
                return result.picture()
        raise RefusedError("there is no such result (any more)", 404)


def new_key() -> str:
    """A key that can't be guessed, safe in a URL."""
    return secrets.token_urlsafe(KEY_BYTES)
