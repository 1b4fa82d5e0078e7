"""What the server remembers is bounded, and forgotten with its page."""

from __future__ import annotations

import numpy as np
import pytest

from hmseg.webpage.limits import Limits, RefusedError
from hmseg.webpage.state import Session, Sessions, Support

IMAGE = np.zeros((10, 10, 3), np.uint8)
MASK = np.ones((10, 10), bool)


def test_the_page_unused_for_longest_goes_first() -> None:
    sessions = Sessions(Limits(max_sessions=2))
    first, second = sessions.open(), sessions.open()
    sessions.get(first)
    third = sessions.open()
    with pytest.raises(RefusedError, match="forgotten this page") as refused:
        sessions.get(second)
    assert refused.value.status == 410
    assert sessions.get(first) is not sessions.get(third)


def test_keys_are_long_and_never_alike() -> None:
    sessions = Sessions(Limits(max_sessions=300))
    keys = {sessions.open() for _ in range(200)}
    assert len(keys) == 200 and min(map(len, keys)) >= 22  # 128 bits


def test_a_page_holds_so_many_images() -> None:
    sessions = Sessions(Limits(max_images=2))
    session = sessions.get(sessions.open())
    key = sessions.add_image(session, IMAGE)
    sessions.add_image(session, IMAGE)
    with pytest.raises(RefusedError, match="this page holds 2 images .* remove one"):
        sessions.add_image(session, IMAGE)
    session.remove_image(key)
    sessions.add_image(session, IMAGE)


def test_pages_share_a_bounded_memory() -> None:
    sessions = Sessions(Limits(max_pixels=100, max_held_pixels=3))
    old, new = sessions.open(), sessions.open()
    for _ in range(2):
        sessions.add_image(sessions.get(old), IMAGE)
    session = sessions.get(new)
    sessions.add_image(session, IMAGE)
    sessions.add_image(session, IMAGE)  # the room of the other page's
    with pytest.raises(RefusedError, match="forgotten"):
        sessions.get(old)
    sessions.add_image(session, IMAGE)
    with pytest.raises(RefusedError, match="this page holds 3 images"):
        sessions.add_image(session, IMAGE)


def test_encoded_supports_of_pages_unused_for_longest_make_room() -> None:
    sessions = Sessions(Limits(max_encoded=3))
    old, new = (sessions.get(sessions.open()) for _ in range(2))
    for session in (old, new):
        image = sessions.add_image(session, IMAGE)
        sessions.add_support(session, Support(image, MASK, "cat"))
        for masking in ("none", "hybrid"):
            sessions.hold_encoded(session, ("segmenter", masking), masking)
        session.kept["prediction", "a", "b"] = 1
    assert ("segmenter", "none") not in old.kept and ("prediction", "a", "b") in old.kept
    assert len(new.kept) == 3
    sessions.hold_encoded(new, ("segmenter", "input"), "input")
    assert [what for what in old.kept if what[0] == "segmenter"] == [] and len(new.kept) == 4


def test_masks_take_room_as_images_do() -> None:
    sessions = Sessions(Limits(max_pixels=100, max_held_pixels=3))
    session = sessions.get(sessions.open())
    image = sessions.add_image(session, IMAGE)
    for _ in range(2):
        sessions.add_support(session, Support(image, MASK, "cat"))
    with pytest.raises(RefusedError, match="this page holds 2 supports and 0.0003 million pixels"):
        sessions.add_support(session, Support(image, MASK, "cat"))


def test_results_of_other_supports_are_gone() -> None:
    sessions = Sessions(Limits())
    session = sessions.get(sessions.open())
    image = sessions.add_image(session, IMAGE)
    key = session.add_support(Support(image, MASK, "cat"))
    result = sessions.keep(session, b"picture")
    session.kept["segmenter", "hybrid"] = 1
    assert sessions.result(result) == b"picture"
    session.remove_support(key)
    assert session.kept == {}
    with pytest.raises(RefusedError, match="no such result"):
        sessions.result(result)


def test_what_was_computed_of_an_image_goes_with_it() -> None:
    session = Session({"a": IMAGE, "b": IMAGE}, {"s": Support("b", MASK, "cat")})
    session.kept = {("prediction", "hybrid", "a"): 1, ("segmenter", "hybrid"): 2}
    session.remove_image("a")
    assert session.kept == {("segmenter", "hybrid"): 2} and list(session.supports) == ["s"]
    session.remove_image("b")
    assert not session.kept and not session.supports


def test_the_oldest_results_go_first_and_a_picture_is_made_when_it_is_asked_for() -> None:
    sessions = Sessions(Limits(max_results=2))
    session = sessions.get(sessions.open())
    made: list[int] = []
    first = sessions.keep(session, b"1")
    second = sessions.keep(session, lambda: bytes(made.append(1) or b"2"))  # type: ignore[func-returns-value]
    sessions.keep(session, b"3")
    assert made == [] and sessions.result(second) == b"2" and made == [1]
    with pytest.raises(RefusedError):
        sessions.result(first)


@pytest.mark.parametrize("key", ["unknown", None, 3, ["a"]])
def test_unknown_images_and_supports_are_refused(key: object) -> None:
    session = Session()
    for look in (session.image, session.support):
        with pytest.raises(RefusedError, match="not held any more") as refused:
            look(key)
        assert refused.value.status == 404
