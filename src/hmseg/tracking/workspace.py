"""The W&B workspace that sets maskings against each other over folds and seeds."""

from __future__ import annotations

import importlib
import json
import warnings
from dataclasses import dataclass
from typing import Any

from hmseg.errors import ConfigError, TrackingError, first_line
from hmseg.reporting.object_sizes import BINS
from hmseg.tracking.tables import size_key
from hmseg.visualise.style import COLOURS

STEP = "trainer/global_step"
MASKING = "labels.masking"
_RUNS = 200
"""In a panel: maskings times folds times seeds."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        entity: user or team; None for the account's own.
        project: at W&B.
        group: the experiment; None for all runs of the project.
        title: of the workspace.
        checkpoint: whose tests are compared, ``best`` or ``last``.
        dry_run: print the specification instead of publishing it.
    """

    entity: str | None
    project: str
    group: str | None
    title: str
    checkpoint: str
    dry_run: bool


def run(request: Request) -> None:
    """The entry point's work: publish the workspace and print its address, or print what it would be.

    Raises:
        ConfigError: the package for it is missing.
        TrackingError: no account, no connection, or the server refuses.
    """
    _packages()
    if request.dry_run:
        print(json.dumps(specification(request), indent=1))
        return
    print(publish(request))


def specification(request: Request) -> dict[str, Any]:
    """What W&B would get, as plain data; its ids are drawn anew each time."""
    spec: dict[str, Any] = build(request, request.entity or "ENTITY")._spec
    return spec


def publish(request: Request) -> str:
    """Creates the workspace; gives its address.

    Raises:
        TrackingError: no account, no connection, or the server refuses.
    """
    import wandb
    from wandb.errors import Error

    try:
        entity = request.entity or wandb.Api().default_entity
        if entity is None:
            raise TrackingError("entity: this account has none of its own; give entity=NAME")
        return str(build(request, entity).save().url)
    except (Error, OSError) as error:
        raise TrackingError(
            f"the workspace can't be published: {first_line(error).rstrip('.')}; WANDB_API_KEY works, too, "
            "and dry_run=true prints it without an account"
        ) from error


def build(request: Request, entity: str) -> Any:
    """The workspace of ``wandb_workspaces``: runs grouped by masking, a section for each question."""
    ws, _ = _packages()
    only = f"Metric('group') = '{request.group}'" if request.group is not None else ""
    runs = ws.RunsetSettings(
        filters=only,
        groupby=[ws.Config(MASKING)],
        group_colors=dict(COLOURS),
        pinned_columns=[f"summary:test_{request.checkpoint}/miou", "config:labels.value.fold"],
    )
    settings = ws.WorkspaceSettings(x_axis=STEP, max_runs=_RUNS)
    sections = [
        ws.Section(name=name, panels=panels, is_open=place < 3)
        for place, (name, panels) in enumerate(_sections(request.checkpoint).items())
    ]
    return ws.Workspace(
        entity=entity,
        project=request.project,
        name=request.title,
        sections=sections,
        settings=settings,
        runset_settings=runs,
    )


def _sections(checkpoint: str) -> dict[str, list[Any]]:
    _, wr = _packages()
    test = f"test_{checkpoint}"
    tables = ("classes", "sizes")
    return {
        f"Test of the {checkpoint} checkpoint, mean and deviation over folds and seeds": [
            _bars("mIoU", f"{test}/miou"),
            _bars("FB-IoU", f"{test}/fb_iou"),
            _bars("mIoU, small objects", f"{test}/miou_small"),
        ],
        "By fold": [
            wr.ScatterPlot(title="mIoU", x=wr.Config("labels.fold"), y=wr.SummaryMetric(f"{test}/miou")),
            _bars("mIoU of all maskings", f"{test}/miou", by="labels.fold"),
        ],
        "By the object's size": [_bars(f"mIoU, {name}", f"{test}/{size_key(name)}") for name, _, _ in BINS],
        "Validation": [
            _curve("mIoU", "val/miou"),
            _curve("FB-IoU", "val/fb_iou"),
            _curve("mIoU, small objects", "val/miou_small"),
            _curve("loss", "val/loss"),
        ],
        "Training": [
            _curve("loss", "train/loss"),
            _curve("gradient norm", "train/grad_norm"),
            _curve("episodes per second", "train/episodes_per_second"),
            _curve("memory in GB", "train/memory_gb"),
        ],
        "Classes and episodes": [
            *(wr.WeavePanelSummaryTable(table_name=f"{test}/{name}") for name in tables),
            wr.WeavePanelSummaryTable(table_name="val/episodes"),
        ],
    }


def _curve(title: str, metric: str) -> Any:
    """Mean over the runs of each masking, and their deviation as a band."""
    _, wr = _packages()
    mean = {"groupby": wr.Config(MASKING), "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    return wr.LinePlot(title=title, x=STEP, y=[metric], max_runs_to_show=_RUNS, **mean)


def _bars(title: str, metric: str, by: str = MASKING) -> Any:
    _, wr = _packages()
    mean = {"groupby": wr.Config(by), "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    return wr.BarPlot(title=title, metrics=[metric], max_runs_to_show=_RUNS, **mean)


def _packages() -> tuple[Any, Any]:
    """``wandb_workspaces.workspaces`` and ``wandb_workspaces.reports.v2``.

    Raises:
        ConfigError: the package is missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses Pydantic's old validators
        try:
            return tuple(  # type: ignore[return-value]  # of two
                importlib.import_module(f"wandb_workspaces.{name}") for name in ("workspaces", "reports.v2")
            )
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("wandb_workspaces"):
                raise
            raise ConfigError(
                "hmseg.dashboard needs the package wandb-workspaces: pip install 'hmseg[dashboard]'"
            ) from None
