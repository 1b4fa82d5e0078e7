"""The dashboard: what W&B would get. Publishing it: tests/test_wandb_online.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import wandb

from hmseg import dashboard
from hmseg.cli import entry
from hmseg.config import compose
from hmseg.errors import ConfigError
from hmseg.reporting.object_sizes import BINS
from hmseg.tracking.tables import size_key


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # put back afterwards: entry changes it
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    entry(dashboard.PROGRAM, ["dry_run=true", *words])
    spec: dict[str, Any] = json.loads(capsys.readouterr().out)
    return spec


def panels(spec: dict[str, Any]) -> list[dict[str, Any]]:
    sections = spec["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"]]


def test_the_dry_run_prints_what_compares_maskings_over_folds(capsys: pytest.CaptureFixture[str]) -> None:
    spec = printed(capsys, "group=voc_maskings", "entity=team")
    assert (spec["entity"], spec["project"], spec["displayName"]) == ("team", "hmseg", "Maskings over folds")
    (runs,) = spec["spec"]["section"]["runSets"]
    assert [each["name"] for each in runs["grouping"]] == ["labels.value.masking"]
    (only,) = runs["filters"]["filters"]
    assert (only["key"]["name"], only["op"], only["value"]) == ("group", "=", "voc_maskings")
    colours = spec["spec"]["section"]["customRunColors"]
    assert all(any(f"%22{masking}%22" in key for key in colours) for masking in ("none", "hybrid"))


def test_every_chart_shows_a_metric_that_runs_log_by_masking_or_fold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn = {}
    for panel in panels(printed(capsys, "checkpoint=last")):
        for metric in panel["config"].get("metrics", []):
            drawn[metric] = panel["config"]
    tested = {f"test_last/{name}" for name in ("miou", "fb_iou", "miou_small")}
    assert set(drawn) == tested | {f"test_last/{size_key(name)}" for name, _, _ in BINS} | {
        *("val/miou", "val/fb_iou", "val/miou_small", "val/loss"),
        *("train/loss", "train/grad_norm", "train/episodes_per_second", "train/memory_gb"),
    }
    for config in drawn.values():
        assert config["groupBy"] in ("labels.value.masking", "labels.value.fold")
        assert (config["groupAgg"], config["groupArea"]) == ("mean", "stddev")


def test_without_a_group_all_runs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    (runs,) = printed(capsys)["spec"]["section"]["runSets"]
    assert runs["filters"]["filters"] == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("entity=a/b", "entity: expected letters, digits, '-', '_' and '.', got 'a/b'"),
        ("project=../x", "project: expected letters"),
        ('group="it\'s"', "group: expected a text without quotes and backslashes"),
        ("workspace=' '", "workspace: expected a text without quotes"),
        ("checkpoint=besst", "unknown checkpoint 'besst': did you mean 'best'?"),
        ("grup=x", "unknown key"),
    ],
)
def test_mistakes_are_refused_in_one_line(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        compose(word, config_name="dashboard")


def test_without_account_and_without_the_package_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr(wandb, "Api", refuse)
    with pytest.raises(SystemExit, match="1"):
        entry(dashboard.PROGRAM, [])
    assert capsys.readouterr().err == (
        "error: the workspace can't be published: No API key configured. Use `wandb login` to log in; "
        "WANDB_API_KEY works, too, and dry_run=true prints it without an account\n"
    )
    for name in ("wandb_workspaces", "wandb_workspaces.workspaces", "wandb_workspaces.reports.v2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit, match="1"):
        entry(dashboard.PROGRAM, ["dry_run=true"])
    assert capsys.readouterr().err == (
        "error: hmseg.dashboard needs the package wandb-workspaces: pip install 'hmseg[dashboard]'\n"
    )
