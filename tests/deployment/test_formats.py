"""Files of every format: they run with other batches, shots and sizes, say what they are, and are checked."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hmseg.backbones import Backbone, FeatureInfo
from hmseg.config.checks_export import FORMATS
from hmseg.deployment.checking import check
from hmseg.deployment.formats import METADATA_FILE, find_format
from hmseg.deployment.parts import Part, Sizes, Tensors, example, parts_of, sizes_to_try
from hmseg.errors import ExportError
from hmseg.exporting import repeat_rows
from hmseg.masking import build_masking
from hmseg.networks import HEADS, FewShotNetwork, Head
from hmseg.networks.fewshot import Levels

SIDE = 64
METADATA = {"hmseg.part": "whole", "hmseg.mean": "[0.485, 0.456, 0.406]"}


class FourLevels(Backbone):
    """One map at each of the strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_info = tuple(FeatureInfo(level, 4, 2 ** (level + 1)) for level in (1, 2, 3, 4))
        self.layers = nn.ModuleList(
            nn.Conv2d(3 if i == 0 else 4, 4, 4 if i == 0 else 2, 4 if i == 0 else 2) for i in range(4)
        )
        self.freeze()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        for layer in self.layers:
            images = layer(images)
            yield images


class SmallHead(Head):
    """Logits from the deepest query map and the mean of the support's."""

    levels = (4,)
    sees_masks = False

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, query: Levels, support: Levels, support_masks: Tensor) -> Tensor:
        shown = support[4][0].mean(dim=(2, 3), keepdim=True)
        asked = repeat_rows(query[4][0], shown.shape[0] // query[4][0].shape[0])
        joined = torch.cat((asked, shown.expand(-1, -1, *asked.shape[2:])), dim=1)
        logits: Tensor = self.last(self.mix(joined).relu())
        return logits


def network(model: str, masking: str = "hybrid") -> FewShotNetwork:
    torch.manual_seed(0)
    backbone = FourLevels()
    model, _, prior = model.partition(" ")
    options = {"side": 64} if model == "vat" else {"prior": bool(prior)}
    head = HEADS[model](backbone.feature_info, **options)  # type: ignore[call-arg]
    return FewShotNetwork(backbone, build_masking(masking), head).eval()


def written(made: FewShotNetwork, name: str, part: str, any_size: bool, folder: Path) -> list[Path]:
    form = find_format(name, 18, any_size)
    square = Sizes(2, 2, (SIDE, SIDE), (SIDE, SIDE))
    paths = []
    for each in parts_of(made, part, any_size):
        paths.append(folder / f"{each.name}{FORMATS[name]}")
        form.write(each, example(each, square), paths[-1], METADATA)
    return paths


def errors(made: FewShotNetwork, name: str, part: str, any_size: bool, folder: Path) -> dict[str, float]:
    form = find_format(name, 18, any_size)
    runners = [form.read(path) for path in written(made, name, part, any_size, folder)]
    return check(made, runners, sizes_to_try(SIDE, any_size))


@pytest.mark.parametrize("name", FORMATS)
def test_any_batch_and_shots_and_what_a_file_says_of_itself(name: str, tmp_path: Path) -> None:
    """With a head of two convolutions: PyTorch's exporters take half a minute of reasoning for a real one."""
    backbone = FourLevels()
    made = FewShotNetwork(backbone, build_masking("hybrid"), SmallHead()).eval()
    (path,) = written(made, name, "whole", False, tmp_path)
    found = check(made, [find_format(name, 18, False).read(path)], sizes_to_try(SIDE, False))
    assert len(found) == 2
    assert max(found.values()) < 1e-5
    assert METADATA.items() <= metadata_of(name, path).items()
    if name == "onnx":
        inputs = onnx_session(path).get_inputs()
        assert [each.name for each in inputs] == ["query", "support_images", "support_masks"]
        assert inputs[1].shape == ["batch", "shots", 3, SIDE, SIDE]


def metadata_of(name: str, path: Path) -> dict[str, str]:
    if name == "onnx":
        return dict(onnx_session(path).get_modelmeta().custom_metadata_map)
    with zipfile.ZipFile(path) as file:
        (inside,) = (each for each in file.namelist() if each.endswith(f"extra/{METADATA_FILE}"))
        return dict(json.loads(file.read(inside)))


def onnx_session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("hsnet", "onnx"),
        ("asnet", "onnx"),
        ("vat", "onnx"),
        ("asnet", "torchscript"),
        ("hsnet prior", "onnx"),
        ("asnet prior", "onnx"),
    ],
)
def test_images_of_any_size(model: str, name: str, tmp_path: Path) -> None:
    found = errors(network(model), name, "split", True, tmp_path)
    assert len(found) == 4
    assert max(found.values()) < 1e-5


def test_a_file_that_computes_something_else_is_refused() -> None:
    made, other = network("hsnet"), network("hsnet")
    nn.init.constant_(other.head.decoder2[2].bias, 0.3)  # type: ignore[union-attr, index, arg-type]
    tried = sizes_to_try(SIDE, False)[:1]

    def of_other(inputs: Tensors) -> Tensors:
        with torch.no_grad():
            return (other(*inputs),)

    def smaller(inputs: Tensors) -> Tensors:
        return (of_other(inputs)[0][..., 1:],)

    def nothing(inputs: Tensors) -> Tensors:
        raise RuntimeError("no such operator\nat node 3")

    with pytest.raises(ExportError, match=r"logits differ from the network's by \S+ .* batch 1, 1 shots"):
        check(made, [of_other], tried)
    with pytest.raises(
        ExportError, match=r"gives logits of \(1, 1, 2, 64, 63\), the network of \(1, 1, 2, 64, 64\)"
    ):
        check(made, [smaller], tried)
    with pytest.raises(ExportError, match=r"can't be run with batch 1, .*: no such operator$"):
        check(made, [nothing], tried)


def test_logits_that_are_no_numbers_are_refused() -> None:
    made = network("hsnet")
    with pytest.raises(ExportError, match="differ from the network's by nan"):
        check(made, [lambda _: (torch.full((1, 1, 2, 64, 64), torch.nan),)], sizes_to_try(SIDE, False)[:1])


def test_a_part_names_what_stays_open() -> None:
    (whole,) = parts_of(network("hsnet"), "whole", any_size=False)
    assert whole.inputs["query"] == {0: "batch"}
    encoder, segmenter = parts_of(network("asnet"), "split", any_size=True)
    assert encoder.outputs == ("level2_0", "level3_0", "level4_0", "masks")
    assert segmenter.inputs["level2_0"] == {0: "batch", 1: "shots", 3: "level2_height", 4: "level2_width"}
    assert isinstance(segmenter, Part) and tuple(segmenter.inputs) == ("query", *encoder.outputs)
