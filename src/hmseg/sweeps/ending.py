"""The end of a sweep: the table of its results, and what failed."""

from __future__ import annotations

from hmseg.errors import HmsegError
from hmseg.sweeps.jobs import shown
from hmseg.sweeps.launcher import Sweep

TABLE_FILE = "sweep.md"


def conclude(sweep: Sweep) -> str | None:
    """Prints the table of the sweep's evaluations, maskings by folds, and writes it to ``sweep.md``.

    Args:
        sweep: all of its jobs ended.

    Returns:
        The failed jobs, a line each under a first one that counts them; None where there is none.
    """
    failed = [outcome for outcome in sweep.outcomes if outcome.failed]
    if sweep.program == "train" and len(sweep.outcomes) > 1 and len(failed) < len(sweep.outcomes):
        _tables(sweep)
    if not failed:
        return None
    what = f"{len(failed)} of {len(sweep.outcomes)} jobs failed; the same command does them again"
    return "\n".join([what, *(f"  {outcome.line()}" for outcome in failed)])


def _tables(sweep: Sweep) -> None:
    from hmseg.reporting.configurations import configurations
    from hmseg.reporting.gathering import from_folders
    from hmseg.reporting.markdown import write_tables
    from hmseg.reporting.sections.results import by_fold
    from hmseg.reporting.terminal import print_tables

    folders = [outcome.job.folder for outcome in sweep.outcomes if not outcome.failed]
    try:
        gathered = from_folders(folders)
    except HmsegError:
        return  # nothing was tested: test=false, a development run
    tables = by_fold(configurations(gathered.measurements))
    print_tables(tables)
    write_tables(tables, sweep.folder / TABLE_FILE)
    where = shown(sweep.folder)
    print(f"written to {where}/{TABLE_FILE}; more: python -m hmseg.report sweep={where}")
