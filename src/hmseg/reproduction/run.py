"""Run what a claim needs, fold by fold; what is done is not done again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hmseg.claims import append_event, ledger, read_events, run_folder, verdict, write_ledger
from hmseg.claims.commands import command
from hmseg.claims.events import FAILED, FINISHED, STARTED, STOPPED
from hmseg.claims.ledger import read_if_there
from hmseg.errors import HmsegError
from hmseg.files import sha256
from hmseg.reproduction import show
from hmseg.reproduction.plan import Request, Step, checkpoint_file, evaluate_step, first_step
from hmseg.reproduction.process import call, interruptible, locked, printed


def run(request: Request) -> None:
    """The entry point's work.

    Raises:
        HmsegError: a setting is wrong, a file can't be used, or a fold failed (the others were done).
        KeyboardInterrupt: stopped; the same command goes on.
    """
    records, events = read_if_there(request.records), read_events(request.events)
    if request.show_all:
        show.rows(ledger(records, events, request.tolerance, request.claims), request.tolerance)
    elif request.claim is None:
        write(request)
    elif request.dry_run:
        from hmseg.reproduction.estimate import estimate

        steps = [
            step
            for fold in request.claim.folds
            for step in (first_step(request, fold), evaluate_step(request, fold, records, events))
        ]
        show.plan(request, steps, estimate(request, steps, records))
    else:
        reproduce(request)


def write(request: Request) -> None:
    """Generates the ledger and prints how many claims have which status."""
    rows = write_ledger(request.ledger, request.records, request.events, request.tolerance, request.claims)
    show.summary(rows, request.tolerance)
    print(f"written to {request.ledger}")


def reproduce(request: Request) -> None:
    """Every step of a claim that is not done yet, then the verdict.

    Raises:
        HmsegError: a step failed.
        KeyboardInterrupt: stopped.
    """
    claim, failed = request.claim, []
    assert claim is not None
    _ = request.training  # a wrong setting is found before the first fold begins
    try:
        with interruptible():
            for fold in claim.folds:
                if reason := reproduce_fold(request, fold):
                    failed.append(reason)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise
    finally:
        rows = write_ledger(
            request.ledger, request.records, request.events, request.tolerance, request.claims
        )
        print(f"{request.ledger}: {sum(row.status == 'verified' for row in rows)} of {len(rows)} verified")
    records, events = read_if_there(request.records), read_events(request.events)
    show.verdict(verdict(claim, records, events, request.tolerance), request.tolerance)
    if failed:
        raise HmsegError(
            f"{len(failed)} of {len(claim.folds)} folds failed ({'; '.join(failed)}); the same command tries "
            "them again"
        )


def reproduce_fold(request: Request, fold: int | None) -> str | None:
    """The steps of one fold. Returns why it failed, None where it did not."""
    assert request.claim is not None
    where = "" if fold is None else f"fold {fold}: "
    try:
        with locked(Path(run_folder(request.claim, fold, request.runs)).expanduser()) as lock:
            step = first_step(request, fold)
            for _ in range(2):
                show.step(step)
                if step.state != "skip" and (reason := do(request, step, lock)):
                    return f"{where}{step.kind}: {reason}"
                records, events = read_if_there(request.records), read_events(request.events)
                step = evaluate_step(request, fold, records, events)
    except KeyboardInterrupt:
        raise
    except HmsegError as error:
        print(f"{where}{error}", file=sys.stderr)
        return f"{where}{error}"
    return None


def do(request: Request, step: Step, lock: Any) -> str | None:
    """One step, noted before and after. Returns why it failed, None where it did not."""
    assert request.claim is not None
    about: dict[str, Any] = {"claim": request.claim.id, "step": step.kind, "fold": step.fold}
    print(printed(step.program, step.words), flush=True)
    append_event(request.events, event=STARTED, **about, command=command(step.program, step.words))
    try:
        outcome = call(step.program, step.words, lock)
    except BaseException:
        append_event(request.events, event=STOPPED, **about)
        raise
    if outcome.code:
        append_event(request.events, event=FAILED, **about, reason=outcome.said)
        return outcome.said
    if step.kind == "evaluate":
        about |= {"checkpoint": sha256(checkpoint_file(request, step.fold)), "settings": list(step.words)}
    append_event(request.events, event=FINISHED, **about)
    return None
