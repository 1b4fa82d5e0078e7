"""Entry point ``python -m hmseg.reproduce``: verify a published claim, and keep the ledger of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hmseg.cli import Program, entry
from hmseg.config.checks_reproduce import checkpoints_of, for_reproduction, settings_of

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hmseg.claims import Claim
    from hmseg.reproduction.plan import Request


def task(cfg: DictConfig) -> None:
    """Reproduce as configured, in other processes; PyTorch is imported here only where files hold tensors."""
    from hmseg.reproduction.run import run

    run(request(cfg))


def request(cfg: DictConfig) -> Request:
    """What is asked for, as plain data.

    Args:
        cfg: a checked configuration; not changed.
    """
    from hmseg.claims import find_claim, published, read_claims
    from hmseg.reproduction.plan import Request

    claims = published() if cfg.claims_file is None else read_claims(Path(cfg.claims_file).expanduser())
    claim = None if cfg.claim is None else find_claim(cfg.claim, claims)
    both = settings_of(cfg, "both")
    return Request(
        claims=claims,
        claim=claim,
        own=None if cfg.claims_file is None else Path(cfg.claims_file).stem,
        show_all=cfg.list,
        dry_run=cfg.dry_run,
        measure=cfg.measure,
        checkpoints=_checkpoints(cfg, claim),
        train=(*both, *settings_of(cfg, "train")),
        evaluate=(*both, *settings_of(cfg, "evaluate")),
        tolerance=cfg.tolerance,
        runs=cfg.runs,
        results=cfg.results,
    )


def _checkpoints(cfg: DictConfig, claim: Claim | None) -> dict[int | None, Path]:
    given = claim is not None and cfg.checkpoints is not None
    return checkpoints_of(cfg.checkpoints, claim.folds) if claim is not None and given else {}


PROGRAM = Program(
    config_name="reproduce",
    task=task,
    purpose="Verify a published result: train or import, evaluate, record; keep the ledger of all claims.",
    examples=(
        "list=true",
        "claim=coco/1shot/hsnet/hybrid/resnet50 dry_run=true",
        "claim=pascal/5shot/vat/feature/resnet101 both=[trainer=gpu,paths.data=/data]",
        "claim=pascal/1shot/hsnet/hybrid/resnet50 checkpoints=/models/fold{fold}.pt",
        "",
    ),
    prepare=for_reproduction,
)


def main() -> None:
    """The console script ``hmseg-reproduce``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
