"""The report's work: gather, compute, write two pages, print a short table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from hmseg import environment
from hmseg.claims.events import read_events
from hmseg.claims.ledger import EVENTS
from hmseg.errors import DataError
from hmseg.reporting.build import build
from hmseg.reporting.configurations import configurations
from hmseg.reporting.gathering import Gathered, from_records, from_sweep
from hmseg.reporting.html import write_html
from hmseg.reporting.ledger import claim_rows
from hmseg.reporting.markdown import write_markdown
from hmseg.reporting.page import Example
from hmseg.reporting.sections.results import means
from hmseg.reporting.terminal import print_tables

_NO_EXAMPLES = (
    "None were asked for: examples=[CHECKPOINT,CHECKPOINT] shows the best, median and worst episodes of the "
    "first with both."
)


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        records: a JSON Lines file, or None.
        sweep: a sweep's folder, where there is no file.
        out: where the pages go, without their endings; None: ``report`` beside the input.
        claims: set results against the published claims?
        examples: checkpoints to show episodes of, none to two.
        examples_count: of each kind.
        overrides: settings that replace those inside the checkpoints.
    """

    records: Path | None
    sweep: Path | None
    out: Path | None = None
    claims: bool = True
    examples: tuple[str, ...] = ()
    examples_count: int = 3
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the input is."""
        folder = self.sweep if self.records is None else self.records.parent
        assert folder is not None  # one of them is there
        return folder

    @property
    def target(self) -> Path:
        """The pages' path without an ending."""
        if self.out is not None:
            return self.out.with_suffix("") if self.out.suffix in (".md", ".html") else self.out
        return self.folder / "report"


def run(request: Request) -> None:
    """Write the pages and print a short table.

    Raises:
        HmsegError: records, tables or checkpoints that can't be used, or a folder that can't be written.
    """
    gathered = _gather(request)
    text, examples = _NO_EXAMPLES, list[Example]()
    if request.examples:
        from hmseg.reporting.examples import make_examples  # builds networks

        text, examples = make_examples(
            gathered.measurements, request.examples, request.examples_count, request.overrides
        )
    rows = claim_rows(gathered.measurements, read_events(request.folder / EVENTS)) if request.claims else []
    about = environment.describe()
    page = build(gathered, rows, about["command"], about, examples, text)
    target = request.target
    markdown, html = (target.with_name(f"{target.name}{ending}") for ending in (".md", ".html"))
    try:
        write_markdown(page, markdown)
        write_html(page, html)
    except OSError as error:
        raise DataError(f"out={target}: can't be written ({error.strerror})") from None
    _print(gathered)
    print(f"written to {markdown} and {html}")


def _gather(request: Request) -> Gathered:
    if request.records is not None:
        return from_records(request.records)
    assert request.sweep is not None
    return from_sweep(request.sweep)


def _print(gathered: Gathered) -> None:
    print_tables(means(configurations(gathered.measurements)))
    console = Console(soft_wrap=True)
    for job in gathered.unfinished:
        console.print(f"no record: job {job.job}: {' '.join(job.overrides)}", markup=False)
