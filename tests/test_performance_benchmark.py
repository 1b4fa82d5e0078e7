"""The speed benchmark: its plain baseline gives our numbers, and its page tells what was measured."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import hmseg
from hmseg.feature_store import FeatureStore
from hmseg.functional import segmentation_loss
from hmseg.masking import MASKINGS, HybridMasking

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[Any]:
    """Gives a module of the folder by its name."""
    if not FOLDER.is_dir():
        pytest.skip("an installed copy has no benchmarks")
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def network(model: str, masking: str) -> hmseg.FewShotNetwork:
    torch.manual_seed(0)
    options = {"side": 64} if model == "vat" else {}
    return hmseg.build_network(model, masking, "mobilenet_v2", weights="bundled", **options)


def error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(
    ("model", "maskings"),
    [("hsnet", tuple(MASKINGS)), ("asnet", ("none", "hybrid")), ("vat", ("feature", "hybrid"))],
)
def test_the_baseline_gives_our_logits_and_gradients(
    benchmarks: Any, model: str, maskings: tuple[str, ...]
) -> None:
    scenarios = benchmarks("scenarios")
    shots = 1 if model == "vat" else 2
    data = scenarios.episodes(1, shots, 64, torch.device("cpu"))
    for masking in maskings:
        ours = network(model, masking)
        baseline = benchmarks("published_network").PublishedNetwork(ours).eval()
        with torch.no_grad():
            got = ours(data.query, data.supports, data.masks)
            for shot in range(shots):
                wanted = baseline(data.query, data.supports[:, shot], data.masks[:, shot].float())
                assert error(got[:, shot], wanted) < 1e-4, masking
            assert torch.equal(
                baseline.predict(data.query, data.supports, data.masks.float()).bool(), hmseg.vote(got)
            )
    segmentation_loss(ours(data.query, data.supports[:, :1], data.masks[:, :1]), data.truth).backward()
    logits = baseline(data.query, data.supports[:, 0], data.masks[:, 0].float())
    torch.nn.functional.cross_entropy(logits, data.truth.long()).backward()
    assert error(scenarios.gradient(ours), scenarios.gradient(baseline)) < 1e-4


def test_changed_maskings_have_no_baseline(benchmarks: Any) -> None:
    ours = network("hsnet", "hybrid")
    ours.masking = HybridMasking(threshold=0.5)
    with pytest.raises(ValueError, match="take a masking without options"):
        benchmarks("published_network").PublishedNetwork(ours)


def test_the_baselines_scores_are_ours(benchmarks: Any) -> None:
    rng = torch.Generator().manual_seed(0)
    meter = benchmarks("published_metrics").PublishedMeter((5, 7))
    ours = hmseg.FewShotIoU((5, 7))
    for _ in range(3):
        prediction, truth = (torch.rand(2, 9, 8, generator=rng) > 0.5 for _ in range(2))
        void = (torch.rand(2, 9, 8, generator=rng) > 0.8) & ~truth
        class_ids = torch.tensor([5, 7])
        meter.update(prediction.float(), truth.float(), void.float(), class_ids)
        ours.update(prediction, truth, void, class_ids)
    assert meter.compute() == pytest.approx((ours.compute().miou, ours.compute().fb_iou), abs=1e-4)


@pytest.mark.parametrize("scenario", ["forward5", "step"])
def test_a_cell_is_compared_timed_and_counted(benchmarks: Any, scenario: str) -> None:
    scenarios, measures = benchmarks("scenarios"), benchmarks("measures")
    cell = scenarios.Cell("hsnet", "hybrid", "mobilenet_v2", scenario, 64)
    works = scenarios.works_of(cell)
    assert set(works) == {scenarios.PUBLISHED, scenarios.PRODUCT}
    counts = {way: measures.operations_and_bytes(work) for way, work in works.items()}
    assert all(work() > 0 for work in works.values())
    assert all(flops > 0 and moved > 0 for flops, moved in counts.values())
    if scenario == "forward5":  # the query's features are made once and not five times
        assert counts[scenarios.PRODUCT][0] < counts[scenarios.PUBLISHED][0]


def test_ways_that_differ_are_not_timed(benchmarks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scenarios = benchmarks("scenarios")
    network_module = benchmarks("published_network")
    monkeypatch.setattr(network_module, "EPS", 0.1)
    with pytest.raises(SystemExit, match="more than 0.0001: not timed"):
        scenarios.works_of(scenarios.Cell("hsnet", "hybrid", "mobilenet_v2", "forward1", 64))


def test_an_evaluation_with_kept_maps_gives_the_same_scores(
    benchmarks: Any, voc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios = benchmarks("scenarios")
    cell = scenarios.Cell(
        "hsnet",
        "hybrid",
        "mobilenet_v2",
        "kept_evaluation1",
        64,
        episodes=3,
        weights="bundled",
        root=str(voc),
    )
    assert cell.shots == 1
    passes: list[int] = []
    kept = FeatureStore.maps

    def counted(store: FeatureStore, images: torch.Tensor, compute: Any) -> Any:
        return kept(store, images, lambda ones: passes.append(1) or compute(ones))  # type: ignore[func-returns-value]

    monkeypatch.setattr(FeatureStore, "maps", counted)
    works = scenarios.works_of(cell)
    assert list(works) == [scenarios.PUBLISHED, scenarios.FILLING, scenarios.PRODUCT]
    assert works[scenarios.PUBLISHED]() > 0 and works[scenarios.FILLING]() > 0
    made = len(passes)
    assert 0 < made <= 9  # three images for each of three episodes, equal ones once
    assert works[scenarios.PRODUCT]() > 0  # exits where scores differ
    assert len(passes) == made


def test_programs_take_turns(benchmarks: Any) -> None:
    turns = benchmarks("turns")
    script = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r}); from turns import take_turns; n = iter({{}}); "
    )
    script += "take_turns(lambda: next(n))"
    ends = "import sys; sys.stderr.write('Traceback\\n\\nMemoryError: all gone\\n')"
    both = {"a": ["-c", script.format("[1.0, 2.0, 3.0]")], "b": ["-c", script.format("[4.0, 5.0, 6.0]")]}
    assert turns.in_turns(both, 2) == {"a": [2.0, 3.0], "b": [5.0, 6.0]}
    with pytest.raises(turns.EndedError, match="^MemoryError: all gone$"):
        turns.in_turns({**both, "c": ["-c", ends]}, 2)


def record(scenario: str, commit: str, seconds: float) -> dict[str, Any]:
    ways = {"published code": [4.0, 6.0, 5.0], "hmseg": [seconds], "published code, freed memory kept": [3.0]}
    return {
        "cell": {
            "model": "hsnet", "masking": "hybrid", "backbone": "resnet50", "scenario": scenario,
            "side": 400, "batch": 1,
        },
        "ceilings": {
            "matmul_gflops": 100.0, "conv3x3_gflops": 90.0, "conv1x1_gflops": 80.0, "copy_gbytes": 9.0,
        },
        "time": ways,
        "memory": {"published code": 2.0, "hmseg": 1.0, "hmseg, before": 0.75},
        "operations": {"published code": [300.0, 9.0], "hmseg": [200.0, 4.0]},
        "hardware": {"cpu": "a CPU", "cores": 2, "threads": 2, "gpu": None},
        "versions": {"torch": "2"},
        "commit": commit,
        "command": "performance.py out",
        "load": 0.5,
        "date": "2026-01-31T00:00:00",
    }  # fmt: skip


def test_the_page_and_the_plot(benchmarks: Any, tmp_path: Path) -> None:
    page: ModuleType = benchmarks("performance_report")
    records = [record("step", "aaa", 5.0), record("forward1", "aaa", 4.0), record("step", "bbb", 2.5)]
    records.append({**record("forward5", "bbb", 1.0), "failed": "time: out of memory"})
    text = page.report(records, "performance")
    rows = [line for line in text.splitlines() if line.startswith(("| forward", "| training"))]
    titles = ["| forward, 1-shot", "| forward, 5-shot", "| training step"]
    assert [row.split(" | ")[0] for row in rows] == titles
    assert (
        "5.00 (4.00 to 6.00) | 2.50 (2.50 to 2.50) | **x2.00** | x1.20 | 0.75 | 2.00 -> 1.00 | x0.50"
        in rows[2]
    )
    assert "300 -> 200 | 9 -> 4 | 2.00 | bbb" in rows[2]
    assert "could not run: time: out of memory" in rows[1]
    kept = record("kept_evaluation1", "bbb", 2.5)
    kept["cell"] |= {"episodes": 3}
    kept["time"] |= {"hmseg, keeping the maps": [4.5]}
    kept["memory"].pop("hmseg, before")  # as older records are
    kept["time"].pop("published code, freed memory kept")
    assert "2.50 (2.50 to 2.50); 4 while keeping them | **x2.00** |  |  | 2.00" in page.row(kept)
    page.plot(records, tmp_path / "p.svg")
    assert (tmp_path / "p.svg").read_text().rstrip().endswith("</svg>")
    assert [path.name for path in tmp_path.iterdir()] == ["p.svg"]


def test_records_are_added_and_failures_say_why(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    performance = benchmarks("performance")
    monkeypatch.setattr(performance, "ceilings_of", lambda *_: record("step", "a", 1.0)["ceilings"])
    out = tmp_path / "performance"
    words = [str(out), "--backbones", "nowhere", "--scenarios", "forward1", "evaluation1", "--side", "64"]
    out.with_suffix(".jsonl").write_text(json.dumps(record("step", "a", 1.0)) + "\n")
    performance.main(words)
    before, found = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    assert before == record("step", "a", 1.0)
    assert "unknown backbone 'nowhere'" in found["failed"]
    assert "could not run" in out.with_suffix(".md").read_text()
    assert "evaluation1 is left out: it needs --root" in capsys.readouterr().err


def test_growth_varies_one_thing_at_a_time(benchmarks: Any, tmp_path: Path) -> None:
    growth = benchmarks("growth")
    args = growth.parse(
        [str(tmp_path / "g"), "--backbone", "mobilenet_v2", "--base", "64", "--sides", "64", "96"]
        + ["--shots", "2", "--batches", "2", "--step-sides", "64", "--step-batches", "1", "--device", "cpu"]
    )
    points = growth.points_of(args)
    assert [(p["work"], p["side"], p["shots"], p["batch"]) for p in points] == [
        ("forward", 64, 1, 1), ("forward", 96, 1, 1), ("forward", 64, 2, 1), ("forward", 64, 1, 2),
        ("step", 64, 1, 1), ("step", 64, 1, 1), ("step, recomputed", 64, 1, 1),
    ]  # fmt: skip
    records = [
        {"point": each, **record("step", "a", 1.0), **growth.measure(each, 1)}
        for each in (points[0], points[4], points[6])
    ]
    assert all(each["seconds"][0] > 0 and each["memory_gb"] > 0.01 for each in records)
    records.append({**records[0], "point": points[1], "failed": "killed"})
    assert "| forward | image side, px | 96 | could not run: killed | | |" in growth.report(records)
    growth.plot(records, tmp_path / "g.svg")
    assert (tmp_path / "g.svg").is_file()


def test_hot_spots_of_both_ways(benchmarks: Any, tmp_path: Path) -> None:
    out = tmp_path / "hot"
    words = [str(out), "--backbone", "mobilenet_v2", "--side", "64", "--scenarios", "forward1", "--rows", "4"]
    benchmarks("hot_spots").main([*words, "--device", "cpu"])
    record = json.loads(out.with_suffix(".json").read_text())
    assert [each["way"] for each in record["profiles"]] == ["published code", "hmseg"]
    for each in record["profiles"]:
        seconds = [one["seconds"] for one in each["operators"]]
        assert seconds == sorted(seconds, reverse=True) and each["seconds"] > 0
        assert any("convolution" in one["name"] for one in each["operators"])
    page = out.with_suffix(".md").read_text()
    assert "## forward1" in page and page.count("all others") == 2 and page.count(" % |") == 2 * 5


def test_what_memory_is_made_of(benchmarks: Any, tmp_path: Path) -> None:
    memory = benchmarks("memory")
    out = tmp_path / "memory"
    memory.main([str(out), "--backbone", "mobilenet_v2", "--side", "64", "--scenarios", "forward1"])
    found = json.loads(out.with_suffix(".json").read_text())["found"]
    assert [each["way"] for each in found] == ["published code", "hmseg"]
    for each in found:
        held = list(each["held"].values())
        assert held == sorted(held) and each["peak"] >= held[-1]
        assert 0 < each["tensors"] < each["peak"]
    assert "| forward1 | hmseg |" in out.with_suffix(".md").read_text()


def test_the_exact_gradient_is_the_baselines(benchmarks: Any) -> None:
    scenarios = benchmarks("scenarios")
    baseline = benchmarks("published_network").PublishedNetwork(network("hsnet", "hybrid")).eval()
    data = scenarios.episodes(1, 1, 64, torch.device("cpu"))
    logits = baseline(data.query, data.supports[:, 0], data.masks[:, 0].float())
    torch.nn.functional.cross_entropy(logits, data.truth.long()).backward()
    exact = scenarios.exact_gradient(baseline, data)
    assert exact.dtype == torch.float64
    assert 0 < error(scenarios.gradient(baseline).double(), exact) < 1e-4
    assert next(baseline.head.parameters()).dtype == torch.float32
