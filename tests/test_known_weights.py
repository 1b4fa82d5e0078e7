"""A backbone beside the weights that its name stands for; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hmseg.backbones import Backbone, build_backbone
from hmseg.errors import WeightsError
from hmseg.known_weights import compare_backbone, known_classifier
from hmseg.weights import cached

NAME = "mobilenet_v2"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty download cache, and no way to download."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def backbone() -> Backbone:
    return build_backbone(NAME, "bundled")


def with_classifier(backbone: Backbone) -> dict[str, torch.Tensor]:
    return {**backbone.state_dict(), "classifier.1.bias": torch.arange(10.0)}


def test_identical_with_the_download_cache(hub: Path, backbone: Backbone) -> None:
    path = cached(NAME)
    assert path is not None and path.parent == hub
    torch.save(with_classifier(backbone), path)
    comparison = compare_backbone(backbone, NAME, "imagenet")
    assert comparison.text == "identical with the ImageNet weights of mobilenet_v2"
    assert comparison.record() == {"result": "identical"}


def test_differences_are_counted_and_measured(tmp_path: Path, backbone: Backbone) -> None:
    torch.save(with_classifier(backbone), tmp_path / "known.pth")
    state = backbone.state_dict()
    state["features.1.conv.2.bias"][2] -= 0.25
    state["features.0.1.running_var"] += 0.125
    state["features.0.1.num_batches_tracked"] += 5  # means nothing
    comparison = compare_backbone(backbone, NAME, str(tmp_path / "known.pth"))
    assert (comparison.result, comparison.entries) == ("different", 2)
    assert comparison.largest == pytest.approx(0.25, abs=1e-6)
    assert "in 2 entries, by 0.25 at most (features.1.conv.2.bias)" in comparison.text
    assert comparison.record() == {"result": "different", "entries": 2, "largest": comparison.largest}


def test_what_can_not_be_compared_says_why(hub: Path, backbone: Backbone) -> None:
    path = cached(NAME)
    assert path is not None
    text = compare_backbone(backbone, NAME, "imagenet").text
    assert text.startswith("not compared: the ImageNet weights of mobilenet_v2 are not on this machine (no ")
    assert text.endswith(f"{path}); give backbone.weights=FILE to compare")
    for weights in ("random", "checkpoint"):
        comparison = compare_backbone(backbone, NAME, weights)
        assert comparison.text == f"not compared, because of backbone.weights={weights}"
        assert comparison.record() == {"result": "not compared"}
    assert (
        compare_backbone(backbone, "resnet50_caffe", "imagenet").result == "not compared"
    )  # has no download
    path.write_bytes(b"half a file")
    assert "not compared: '" in compare_backbone(backbone, NAME, "imagenet").text


def test_a_file_that_was_asked_for_must_do(tmp_path: Path, backbone: Backbone) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        compare_backbone(backbone, NAME, str(tmp_path / "missing.pth"))
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "resnet.pth")
    with pytest.raises(WeightsError, match="of another backbone: features.0.0.weight is missing"):
        compare_backbone(backbone, NAME, str(tmp_path / "resnet.pth"))


def test_classifier_of_the_known_weights(hub: Path, tmp_path: Path, backbone: Backbone) -> None:
    assert known_classifier(backbone, NAME, "checkpoint") == {}
    path = cached(NAME)
    assert path is not None
    torch.save(with_classifier(backbone), path)
    for weights in ("imagenet", "checkpoint", "random", str(path)):
        assert list(known_classifier(backbone, NAME, weights)) == ["classifier.1.bias"]
    assert known_classifier(backbone, NAME, str(tmp_path / "missing.pth")) == {}
