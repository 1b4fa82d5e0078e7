"""The routes over a real socket: bounded uploads, results and nothing else served back, one message each."""

from __future__ import annotations

import contextlib
import gc
import socket
import weakref
from pathlib import Path

import numpy as np
import pytest

import made_annotations as made
from hmseg.masking import MASKINGS
from hmseg.segmenter import Segmenter
from hmseg.webpage import layers, serving
from hmseg.webpage.limits import RefusedError
from hmseg.webpage.server import class_name, json_object
from hmseg.webpage.work import Work
from served import Answer, Served, mask_png, pixels_of, png, scene

KEYS = ("overlay", "mask", "probability", "file", "overlay_file")


def picture(served: Served, key: str) -> np.ndarray:  # type: ignore[type-arg]
    answer = served.ask("GET", f"/results/{key}")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    return pixels_of(answer.content)


def shown(served: Served, name: str = "cat") -> tuple[str, str, str]:
    """A support and a query: their images' keys and the support's."""
    image, mask = scene(1)
    support_image, query = served.add_image(image), served.add_image(scene(2, 80, 70)[0])
    return support_image, query, served.add_support(support_image, mask, name)


def test_the_page_says_what_it_runs(served: Served) -> None:
    about = served.ask("GET", "/api/about").json
    assert (about["model"], about["backbone"], about["own"]) == ("HSNet", "MobileNetV2", "hybrid")
    assert about["maskings"] == list(MASKINGS) and about["levels"] == [4, 3, 2]
    assert about["limits"] == {"max_bytes": 200_000, "max_mb": 0.2, "max_pixels": 200_000}


def test_a_query_is_segmented_as_the_library_does(served: Served, work: Work) -> None:
    _, query, _ = shown(served)
    for masking in MASKINGS:
        found = served.ask("POST", "/api/predictions", {"query": query, "masking": masking}).json
        own: Segmenter = work.segmenter.with_masking(work.maskings[masking])
        own.fit(*scene(1), name="cat")
        expected = own.predict(scene(2, 80, 70)[0])
        file = served.ask("GET", f"/results/{found['file']}").content
        assert (layers.labels_of(file) == expected.labels).all()
        (only,) = found["classes"]
        assert not only["absent"]
        assert only["name"] == "cat" and only["share"] == pytest.approx((expected.labels > 0).mean())
        for key in KEYS:
            assert picture(served, found[key]).shape[:2] == (80, 70)
        probability = picture(served, found["probability"])[..., :3].sum(axis=2).astype(float)
        assert np.corrcoef(probability.ravel(), expected.scores[0].ravel())[0, 1] > 0.9


def test_maskings_are_set_against_the_checkpoints_own(served: Served) -> None:
    _, query, _ = shown(served)
    found = {
        masking: served.ask("POST", "/api/predictions", {"query": query, "masking": masking}).json
        for masking in ("none", "hybrid")
    }
    assert (found["hybrid"]["agreement"], found["hybrid"]["change"]) == (None, None)
    labels = {
        name: layers.labels_of(served.ask("GET", f"/results/{each['file']}").content) > 0
        for name, each in found.items()
    }
    both, either = labels["none"] & labels["hybrid"], labels["none"] | labels["hybrid"]
    assert (labels["none"] != labels["hybrid"]).any()
    assert found["none"]["agreement"] == pytest.approx(both.sum() / either.sum())
    change = picture(served, found["none"]["change"])
    gained = (change == np.array(layers.GAINED)).all(axis=2)
    assert (gained == labels["none"] & ~labels["hybrid"]).all()


def test_another_support_counts_at_once_and_classes_have_numbers(served: Served) -> None:
    support_image, query, support = shown(served)
    first = served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"}).json
    image, mask = scene(5)
    served.add_support(served.add_image(image), mask, "dog")
    assert served.ask("GET", f"/results/{first['file']}").status == 404  # out of date
    both = served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"}).json
    assert [each["name"] for each in both["classes"]] == ["cat", "dog"]
    assert served.ask("DELETE", f"/api/supports/{support}").status == 204
    left = served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"}).json
    assert [each["name"] for each in left["classes"]] == ["dog"]


def test_results_are_computed_once(served: Served) -> None:
    _, query, _ = shown(served)
    first, second = (
        served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"}).json for _ in range(2)
    )
    assert first == second


def test_where_hybrid_masking_fills_in(served: Served) -> None:
    _, _, support = shown(served)
    found = served.ask("POST", "/api/fillings", {"support": support, "level": 3}).json
    assert list(found["activation"]) == list(MASKINGS) and 0 < found["share"] < 1
    filled = picture(served, found["filled"])
    _, mask = scene(1)
    assert filled.shape[:2] == mask.shape
    corner, middle = filled[-1, -1], filled[tuple(np.argwhere(mask).mean(axis=0).astype(int))]
    assert corner[0] > corner[2]  # outside all of it is from the masked image: orange
    assert middle[2] > corner[2]
    feature, hybrid = (picture(served, found["activation"][name]) for name in ("feature", "hybrid"))
    assert feature[-1, -1, :3].sum() < 20 < hybrid[-1, -1, :3].sum()  # FM zeroes, HM fills


def test_correlation_follows_the_point_and_the_masking(served: Served) -> None:
    """A query that is the support: under no masking the point is most similar to itself."""
    support_image, _, support = shown(served)

    def heat(masking: str, x: float, y: float) -> np.ndarray:  # type: ignore[type-arg]
        wanted = {"query": support_image, "support": support, "masking": masking, "level": 2, "x": x, "y": y}
        found = served.ask("POST", "/api/correlations", wanted).json
        assert 0 <= found["most"] <= 1.001
        brightness = picture(served, found["heat"])[..., :3].sum(axis=2).astype(float)
        return np.where(brightness == 3 * 255, 0, brightness)  # without the mask's outline

    for x, y in ((0.02, 0.02), (0.98, 0.98), (0.02, 0.98)):
        found = heat("none", x, y)
        row, column = np.unravel_index(found.argmax(), found.shape)
        assert abs(row / (found.shape[0] - 1) - y) < 0.2 and abs(column / (found.shape[1] - 1) - x) < 0.2
    _, mask = scene(1)
    assert heat("feature", 0.5, 0.5)[-8:, -8:].max() < heat("hybrid", 0.5, 0.5)[mask].max()


@pytest.mark.parametrize(
    ("wanted", "status", "words"),
    [
        ({"masking": "hybird"}, 400, "unknown masking 'hybird': did you mean 'hybrid'?"),
        ({"masking": ["hybrid"]}, 400, "expected a JSON object of texts and numbers (it holds others)"),
        ({"masking": "\ud800"}, 400, "expected a JSON object of texts and numbers ("),
        ({"query": "\udfff"}, 400, "expected a JSON object of texts and numbers ("),
        ({"level": 9}, 400, "unknown level '9'"),
        ({"level": None}, 400, "unknown level"),
        ({"x": 1.5}, 400, "x: expected a number from 0 to 1, got 1.5"),
        ({"y": "<b>"}, 400, "y: expected a number from 0 to 1, got <b>"),
        ({"support": "nothing"}, 404, "this support image is not held any more"),
        ({"query": "nothing"}, 404, "this image is not held any more"),
        ({"query": "../../etc/passwd"}, 404, "this image is not held any more"),
    ],
)
def test_wrong_requests_are_told_in_one_line(
    served: Served, wanted: dict[str, object], status: int, words: str
) -> None:
    _, query, support = shown(served)
    right = {"query": query, "support": support, "masking": "none", "level": 3, "x": 0.5, "y": 0.5}
    answer = served.ask("POST", "/api/correlations", {**right, **wanted})
    assert answer.status == status
    assert words in answer.json["error"] and "\n" not in answer.json["error"]


def test_without_a_support_or_a_session_there_is_a_clear_word(served: Served) -> None:
    query = served.add_image(scene(2)[0])
    answer = served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"})
    assert answer.status == 409 and "mark the object in an image first" in answer.json["error"]
    served.session = "guessed"
    answer = served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"})
    assert answer.status == 410 and "reload the page" in answer.json["error"]


def test_an_object_that_vanishes_at_the_networks_size_is_told(served: Served) -> None:
    image = np.zeros((400, 450, 3), np.uint8)
    mask = np.zeros((400, 450), bool)
    mask[3, 3] = True
    support = served.add_image(image)
    served.add_support(support, mask)
    answer = served.ask("POST", "/api/predictions", {"query": support, "masking": "hybrid"})
    assert answer.status == 422 and "1 pixels are lost" in answer.json["error"]


def test_sessions_do_not_see_each_other(served: Served) -> None:
    _, query, _ = shown(served)
    served.begin()
    answer = served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"})
    assert answer.status == 404


def test_a_closed_page_leaves_nothing(served: Served) -> None:
    _, query, _ = shown(served)
    found = served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"}).json
    assert served.ask("DELETE", "/api/sessions").status == 204
    assert served.ask("GET", f"/results/{found['file']}").status == 404
    assert served.ask("POST", "/api/images", png(scene(2)[0])).status == 410


# Uploads


@pytest.mark.parametrize(("sent", "declared"), [(200_001, 200_001), (700_000, 700_000), (0, 10**12)])
def test_a_file_that_is_too_large_is_refused_whether_it_is_sent_or_not(
    served: Served, sent: int, declared: int
) -> None:
    answer = served.ask("POST", "/api/images", b"x" * sent, content_length=str(declared))
    assert answer.status == 413
    assert answer.json["error"].startswith("this file has more than 0.2 MB, which is the most that is taken")


def test_a_body_that_hides_its_length_is_cut_off(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        head = (
            f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nTransfer-Encoding: chunked\r\n"
            f"Origin: http://127.0.0.1:{served.port}\r\nX-Hmseg-Session: {served.session}\r\n\r\n"
        )
        connection.sendall(head.encode())
        sent = 0
        try:
            while sent < 20_000_000:
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            pass  # the server hung up
        assert sent < 20_000_000
    assert served.ask("GET", "/api/about").status == 200


def test_many_pixels_in_few_bytes_are_refused(served: Served) -> None:
    content = png(np.zeros((1000, 1000, 3), np.uint8))
    assert len(content) < 20_000
    answer = served.ask("POST", "/api/images", content)
    assert answer.status == 413 and "1000 x 1000 pixels, more than the 0.2 million" in answer.json["error"]


def test_a_page_cannot_hold_everything(served: Served) -> None:
    for seed in range(6):
        served.add_image(scene(seed)[0])
    answer = served.ask("POST", "/api/images", png(scene(9)[0]))
    assert answer.status == 413 and "this page holds 6 images" in answer.json["error"]


def test_a_page_cannot_hold_any_number_of_supports(served: Served) -> None:
    image, mask = scene(1)
    key = served.add_image(image)
    for _ in range(3):
        served.add_support(key, mask)
    answer = served.ask("POST", f"/api/supports?image={key}&name=cat", mask_png(mask))
    assert answer.status == 413 and "this page holds 3 supports" in answer.json["error"]


def test_a_removed_query_goes_with_all_that_was_made_of_it(served: Served) -> None:
    _, query, _ = shown(served)
    session = served.server.sessions.get(served.session)
    image = weakref.ref(session.images[query])
    found = served.ask("POST", "/api/predictions", {"query": query, "masking": "none"}).json
    picture(served, found["overlay_file"])
    assert served.ask("DELETE", f"/api/images/{query}").status == 204
    gc.collect()
    assert image() is None
    for name in (*KEYS, "change"):
        assert served.ask("GET", f"/results/{found[name]}").status == 404


def test_whoever_sends_nothing_makes_room_for_those_who_do(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "PATIENCE", 0.2)
    head = f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    body = (
        f"Content-Length: 9\r\nOrigin: http://127.0.0.1:{served.port}\r\n"
        f"X-Hmseg-Session: {served.session}\r\n\r\n"
    )
    sent = [b"", b"GET", head.encode(), (head + body).encode(), (head + body).encode() + b"x"] * 13
    idle = [socket.create_connection(("127.0.0.1", served.port), timeout=60) for _ in sent]
    for connection, words in zip(idle, sent, strict=True):
        connection.sendall(words)
    for connection in idle:
        with contextlib.suppress(ConnectionResetError):
            connection.recv(1000)  # it ends, whatever it says: the test would wait for a minute otherwise
        connection.close()
    assert served.ask("GET", "/api/about").status == 200


def test_requests_for_results_are_short(served: Served) -> None:
    answer = served.ask("POST", "/api/predictions", {"query": "x" * 5000})
    assert (answer.status, answer.json["error"]) == (413, "this request is too long")


# What is served


@pytest.mark.parametrize(
    "path",
    ["/static/", "/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py", "/etc/passwd",
     "/static//etc/passwd", "/results/", "/results/..%2f..%2fetc%2fpasswd", "/api/images",
     "/file=/etc/passwd", "/docs", "/openapi.json"],
)  # fmt: skip
def test_no_file_or_folder_is_served(served: Served, path: str) -> None:
    answer = served.ask("GET", path)
    assert answer.status in (404, 405) and len(answer.content) < 200


def test_uploads_are_not_served_back(served: Served) -> None:
    support_image, query, support = shown(served)
    for key in (support_image, query, support):
        for path in (f"/results/{key}", f"/api/images/{key}", f"/{key}"):
            assert served.ask("GET", path).status in (404, 405)


def test_nothing_is_written_to_disk(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    _, query, _ = shown(served)
    assert served.ask("POST", "/api/predictions", {"query": query, "masking": "hybrid"}).status == 200
    assert list(tmp_path.iterdir()) == []


def test_the_page_names_no_other_host(served: Served) -> None:
    page = served.ask("GET", "/").content.decode()
    names = [word.split('"')[0] for word in page.split("/static/")[1:]]
    assert {"app.js", "style.css", "icon.svg"} <= set(names)
    for name in served.server.page:
        content = served.ask("GET", f"/static/{name}").content.decode()
        rest = content.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in rest and "https:" not in rest and "//" not in rest.replace("// ", "")
        assert "innerHTML" not in content and "eval(" not in content
    assert (
        "<style" not in page and " style=" not in page and " onclick=" not in page
    )  # the policy forbids them


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{", b"\xff", b"[" * 3000])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError, match="expected a JSON object"):
        json_object(content)


def test_class_names_are_one_short_line() -> None:
    assert class_name("a\n\tb\x00c" + "d" * 100) == "a b c" + "d" * 35
    assert class_name(" \u202e ") == "object"


def test_a_mask_file_is_read_by_the_server_and_doubt_is_told(served: Served) -> None:
    image, mask = scene(1)
    key = served.add_image(image)
    file = png(mask.astype(np.uint8) * 15)
    answer = served.ask("POST", f"/api/masks?image={key}", file)
    marked = picture(served, answer.json["mask"])
    assert marked.shape == (*mask.shape, 4) and ((marked[..., 3] > 0) == mask).all()
    two = mask.astype(np.uint8) * 15
    two[:4] = 3
    answer = served.ask("POST", f"/api/masks?image={key}", png(two))
    assert answer.status == 415 and "several numbers (3, 15)" in answer.json["error"]
    answer = served.ask("POST", f"/api/masks?image={key}&reading=15", png(two))
    assert (picture(served, answer.json["mask"])[..., 3] > 0).sum() == (two == 15).sum()
    assert served.ask("POST", "/api/masks?image=none", file).status == 404


def test_an_annotation_file_is_a_mask_and_names_its_class(served: Served) -> None:
    key = served.add_image(np.zeros((*made.SIZE, 3), np.uint8))

    def ask(shapes: list[object], name: str) -> Answer:
        content = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 60, "imageWidth": 80}
        return served.ask("POST", f"/api/masks?image={key}&name={name}&file=a.jpg", content)

    cat, dog = (made.labelme_shape(name, made.ring(each)) for name, each in made.PHOTOS["one"].items())
    for shapes, name, expected in (([cat], "object", "cat"), ([cat, dog], "dog", "dog")):
        answer = ask(shapes, name).json
        assert answer["name"] == expected
        marked = picture(served, answer["mask"])[..., 3] > 0
        assert np.array_equal(marked, made.mask_of(made.PHOTOS["one"][expected]))
    answer = ask([cat, dog], "object")
    assert answer.status == 422 and "marks cat, dog: type the name of one of them" in answer.json["error"]


def test_a_class_that_is_not_there_is_listed_as_such(
    served: Served, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work.segmenter, "presence", 1.0)
    _, query, _ = shown(served)
    (only,) = served.ask("POST", "/api/predictions", {"query": query, "masking": work.own}).json["classes"]
    assert only == {"name": "cat", "share": 0.0, "absent": True}
