"""The export benchmark: what is timed gives the network's logits, and its page tells what was measured."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import hmseg
from hmseg.deployment.parts import Sizes, episode, example, parts_of

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    if not FOLDER.is_dir():
        pytest.skip("an installed copy has no benchmarks")
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("export_benchmark", FOLDER / "export.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@torch.no_grad()
def test_the_query_alone_gives_the_logits_of_the_whole(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = hmseg.build_network("asnet", "hybrid", "mobilenet_v2", weights="bundled")
    monkeypatch.setattr(benchmark, "network_of", lambda model: network)
    sizes = Sizes(1, 1, (64, 64), (64, 64))
    torch.save(example(parts_of(network, "split", False)[-1], sizes)[1:], tmp_path / "asnet-kept.pt")
    logits = benchmark.work_of("asnet", "pytorch_segmenter", tmp_path, sizes, 0)()
    enlarged = torch.nn.functional.interpolate(logits, (64, 64), mode="bilinear", align_corners=True)
    torch.testing.assert_close(enlarged, network(*episode(sizes))[0], rtol=1e-4, atol=1e-5)


def test_the_page_sets_onnx_beside_pytorch(benchmark: Any) -> None:
    ways = {way: {"seconds": [2.0, 1.0, 4.0], "memory_gb": 1.5} for way in benchmark.WAYS}
    ways["onnx"] = {"seconds": [1.0], "memory_gb": 2.25}
    ways["onnx_encoder"] = {"failed": "out of memory"}
    record = {
        "side": 400,
        "ways": ways,
        "errors": {"whole": 1e-6, "split": 2e-6},
        "megabytes": {"whole": 104.2},
        "export_seconds": {"whole": 60.0, "encoder": 30.0},
        "hardware": {"cpu": "a CPU", "cores": 2, "threads": 2, "gpu": None},
        "versions": {"onnxruntime": "1"},
        "commit": "abc",
        "command": "export.py results/export",
        "date": "2026-01-31T12:00:00",
        "load": 0.5,
    }
    page = benchmark.report({"hsnet": record})
    assert "| hsnet | 400 | PyTorch, whole episode | 2.00 (1.00 to 4.00) |  | 1.50 |" in page
    assert "| hsnet | 400 | ONNX Runtime, whole episode | 1.00 (1.00 to 1.00) | 0.50 | 2.25 |" in page
    assert "| could not run: out of memory | | |" in page
    assert "| hsnet | 1.0e-06 | 2.0e-06 | whole 104 | 90 (all files) |" in page
