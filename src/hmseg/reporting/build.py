"""From measurements to the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hmseg.reporting.configurations import Configuration, configurations
from hmseg.reporting.gathering import Gathered
from hmseg.reporting.page import Example, Examples, Page, Section, Text
from hmseg.reporting.sections.claims import claims
from hmseg.reporting.sections.classes import classes
from hmseg.reporting.sections.differences import compared
from hmseg.reporting.sections.origin import origin
from hmseg.reporting.sections.results import missing, results
from hmseg.reporting.sections.sizes import sizes
from hmseg.reporting.sections.training import training
from hmseg.reporting.setting import model_name


def build(
    gathered: Gathered,
    rows: Sequence[Mapping[str, Any]],
    command: str,
    about: Mapping[str, Any],
    examples: Sequence[Example] = (),
    examples_text: str = "",
) -> Page:
    """The whole page.

    Args:
        gathered: measurements and unfinished jobs.
        rows: claims, see `hmseg.reporting.ledger`.
        command: that makes this page.
        about: its commit, versions and date.
        examples: episodes with pictures.
        examples_text: what they are, or how to get some.
    """
    every = configurations(gathered.measurements)
    verdicts = claims(rows, gathered.measurements)
    judged = any(row.get("measured") is not None for row in rows)
    return Page(
        title="Few-shot segmentation: claimed and measured",
        summary=_summary(gathered, every, about),
        sections=(
            *((verdicts,) if judged else ()),
            results(every),
            compared(every),
            training(gathered.measurements),
            classes(every),
            sizes(every),
            _examples(examples, examples_text),
            *(() if judged else (verdicts,)),  # a long table of what is not measured is no beginning
            missing(every, gathered.unfinished),
            origin(every, command, about),
        ),
    )


def _summary(gathered: Gathered, every: Sequence[Configuration], about: Mapping[str, Any]) -> tuple[str, ...]:
    def different(values: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(values))

    settings = [one.setting for one in every]
    runs = gathered.measurements
    dates = sorted(str(run.record.get("date", ""))[:10] for run in runs if run.record.get("date"))
    measured = f", measured {dates[0]} to {dates[-1]}" if dates else ""
    first = (
        f"{len(runs)} records in {len(every)} configurations: "
        f"{different([model_name(s.model) for s in settings])} with "
        f"{different([s.masking for s in sorted(settings, key=lambda s: s.order)])} masking on "
        f"{different([s.backbone for s in settings])}; {different([s.dataset for s in settings])}, "
        f"{different([f'{shot}-shot' for shot in sorted({s.shot for s in settings})])}{measured}."
    )
    date = str(about.get("date") or datetime.now(UTC).isoformat(timespec="seconds"))
    made = f"This page was made on {date[:10]}."
    apart = [one for one in every if one.remarks]
    if not apart:
        return first, made
    reasons = different([remark for one in apart for remark in one.remarks])
    which = "Nothing here is" if len(apart) == len(every) else f"{len(apart)} of {len(every)} are not"
    return first, f"{which} comparable with published numbers: {reasons}.", made


def _examples(examples: Sequence[Example], text: str) -> Section:
    shown = (Examples(tuple(examples)),) if examples else ()
    return Section("examples", "Examples", (Text(text or "None were asked for."), *shown))
