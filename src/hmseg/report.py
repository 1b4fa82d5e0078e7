"""Entry point ``python -m hmseg.report``: records into a Markdown and an HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmseg.cli import Program, entry
from hmseg.config.checks_report import checkpoints
from hmseg.files import given_path

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hmseg.reporting.run import Request


def task(cfg: DictConfig) -> None:
    """Report as configured."""
    from hmseg.reporting.run import run

    run(request(cfg))


def request(cfg: DictConfig) -> Request:
    """What is asked for, as plain data.

    Args:
        cfg: a checked configuration; not changed.
    """
    from hmseg.reporting.run import Request

    given = {
        f"{group}.{key}": value for group in ("dataset", "backbone") for key, value in cfg[group].items()
    }
    return Request(
        records=given_path(cfg.records),
        sweep=given_path(cfg.sweep),
        out=given_path(cfg.out),
        claims=cfg.claims,
        examples=tuple(checkpoints(cfg)),
        examples_count=cfg.examples_count,
        overrides={key: str(value) for key, value in given.items() if value is not None},
    )


PROGRAM = Program(
    config_name="report",
    task=task,
    purpose="Tables, figures and comparisons of evaluations: one Markdown and one self-contained HTML page.",
    examples=(
        "records=results/records.jsonl",
        "records=results/voc.jsonl out=results/voc",
        "sweep=multirun/2026-01-31/12-00-00",
        "records=results/voc.jsonl examples=[runs/1,runs/2] dataset.root=/data/VOC2012",
    ),
)


def main() -> None:
    """The console script ``hmseg-report``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
