"""HSNet against the published code's outputs, and on sizes that the published code can't take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import hmseg
import reference
from hmseg.masking import MASKINGS

REFERENCES = (
    "hsnet_feature_resnet50_128",
    "hsnet_hybrid_resnet50_128",
    "hsnet_hybrid_resnet101_96",
    "hsnet_hybrid_vgg16_128",
    "hsnet_hybrid_resnet50_400",
)


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_outputs(shared: Path, name: str) -> None:
    config, arrays = reference.load(shared / "reference" / f"{name}.npz")
    network = hmseg.build_network("hsnet", config["masking"], config["backbone"])
    hmseg.load_published(network, reference.state_dict(network, config.get("salt", 0)))
    shots = config.get("shot", 1)
    episode = reference.inputs(config["batch"], shots, config["size"], config["seed"], config["radius"])
    with torch.no_grad():
        logits = network(*episode)
    stride = config.get("stride", 1)
    expected = torch.from_numpy(arrays["logits"])
    error = (logits[:, 0, :, ::stride, ::stride] - expected).norm() / expected.norm()
    assert error < 1e-4
    if "vote" in arrays:
        differs = hmseg.vote(logits) != torch.from_numpy(arrays["vote"]).bool()
        margin = (logits[:, :, 1] - logits[:, :, 0]).abs().amin(dim=1)
        assert (margin[differs] < 1e-5).all()
        assert torch.equal(network.predict(*episode), hmseg.vote(logits))


def test_all_references_are_tested(shared: Path) -> None:
    assert {path.stem for path in (shared / "reference").glob("hsnet_*.npz")} == set(REFERENCES)


@pytest.mark.parametrize(
    ("backbone", "parameters"), [("resnet50", 2_573_794), ("resnet101", 2_587_394), ("vgg16", 2_570_018)]
)
def test_learnable_parameters(shared: Path, backbone: str, parameters: int) -> None:
    network = hmseg.build_network("hsnet", "hybrid", backbone)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == parameters
    if backbone == "resnet50":
        listed = (shared / "reference/hsnet_parameters.txt").read_text().splitlines()
        ours = {k: v for k, v in hmseg.export_published(network).items() if k.startswith("hpn_learner.")}
        assert dict(line.split("\t") for line in listed) == {k: str(tuple(v.shape)) for k, v in ours.items()}


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "vgg16"])
@pytest.mark.parametrize("size", [(64, 64), (96, 160), (101, 67), (272, 144)])
def test_any_image_size(backbone: str, size: tuple[int, int]) -> None:
    network = hmseg.build_network("hsnet", "hybrid", backbone)
    height, width = size
    mask = torch.zeros(1, 1, *size, dtype=torch.bool)
    mask[..., height // 4 : height // 2, width // 4 : width // 2] = True
    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size), torch.randn(1, 1, 3, *size), mask)
    assert logits.shape == (1, 1, 2, *size)
    assert logits.isfinite().all()


def test_masking_changes_the_result() -> None:
    images = torch.randn(1, 3, 64, 64), torch.randn(1, 1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    mask[..., 20:40, 10:30] = True
    logits = {}
    for name in MASKINGS:
        torch.manual_seed(0)
        network = hmseg.build_network("hsnet", name, "mobilenet_v2", weights="bundled")
        with torch.no_grad():
            logits[name] = network(*images, mask)
    names = list(MASKINGS)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert (logits[first] - logits[second]).abs().max() > 1e-4, (first, second)
