"""The commands that train and test a claim, as they are typed.

The run folder of a fold is ``RUNS/EXPERIMENT/foldN``, whoever trains it: claims that differ in their shots,
or test a COCO-20i model on PASCAL, share it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from hmseg.claims.protocol import protocol_of
from hmseg.claims.table import BENCHMARKS, Claim

RUNS = "outputs/claims"
"""Where the run folders are."""


def run_folder(claim: Claim, fold: int | None, runs: str = RUNS) -> str:
    """The folder of a training run.

    Args:
        claim: any that shares the training.
        fold: None for a benchmark without folds.
        runs: the folder of all of them.

    Example:
        >>> from hmseg.claims import find_claim, published
        >>> run_folder(find_claim("coco2pascal/5shot/vat/hybrid/resnet50", published()), 2)
        'outputs/claims/vat_hm_coco_resnet50/fold2'
    """
    return str(PurePosixPath(runs) / claim.training / ("run" if fold is None else f"fold{fold}"))


def train_words(claim: Claim, fold: int | None, runs: str = RUNS) -> list[str]:
    """The settings of ``hmseg.train`` for one fold."""
    return [
        f"experiment={claim.training}",
        f"fold={_fold(fold)}",
        f"hydra.run.dir={run_folder(claim, fold, runs)}",
    ]


def evaluate_words(claim: Claim, checkpoint: str) -> list[str]:
    """The settings of ``hmseg.evaluate`` for one fold.

    Args:
        claim: to be tested.
        checkpoint: a checkpoint, or the run folder that holds it.
    """
    words = [f"ckpt={checkpoint}", f"shot={claim.shot}"]
    if claim.training != claim.experiment:  # what else is tested as it was trained
        words += [f"dataset={claim.benchmark}", f"dataset.image_size={protocol_of(claim).size}"]
    if claim.benchmark not in BENCHMARKS:  # no published number of episodes that comes by itself
        words.append(f"loader.test_episodes={protocol_of(claim).episodes}")
    return words


def import_words(claim: Claim, fold: int | None, source: str, out: str) -> list[str]:
    """The settings of ``hmseg.convert`` for one fold's published checkpoint."""
    trained_on = "coco" if claim.benchmark == "coco2pascal" else claim.benchmark
    options = [f"model={claim.model}", f"masking={claim.masking}", f"backbone={claim.backbone}"]
    place = [f"dataset={trained_on}", f"fold={_fold(fold)}"]
    return [f"source={source}", f"out={out}", *options, *place]


def train_command(claim: Claim) -> str:
    """One command that trains all folds of a claim, into the folders that ``hmseg.reproduce`` uses.

    Example:
        >>> from hmseg.claims import find_claim, published
        >>> print(train_command(find_claim("fss/1shot/vat/feature/resnet50", published())))
        python -m hmseg.train experiment=vat_fss_resnet50 fold=null
            hydra.run.dir=outputs/claims/vat_fss_resnet50/run
    """
    if claim.folds == (None,):
        return command("train", train_words(claim, None))
    folds = ",".join(str(fold) for fold in claim.folds)
    place = [f"hydra.sweep.dir={PurePosixPath(RUNS) / claim.training}", "hydra.sweep.subdir=fold${fold}"]
    return command("train", ["-m", f"experiment={claim.training}", f"fold={folds}", *place])


def evaluate_command(claim: Claim) -> str:
    """One line for the shell that tests the best checkpoint of each fold.

    Example:
        >>> from hmseg.claims import find_claim, published
        >>> claim = find_claim("pascal/5shot/asnet/none/vgg16", published())
        >>> print(evaluate_command(claim))
        for fold in 0 1 2 3; do
            python -m hmseg.evaluate ckpt=outputs/claims/asnet_pascal_vgg16/fold$fold shot=5; done
    """
    if claim.folds == (None,):
        return command("evaluate", evaluate_words(claim, run_folder(claim, None)))
    folder = str(PurePosixPath(RUNS) / claim.training / "fold$fold")
    inner = " ".join(["python -m hmseg.evaluate", *evaluate_words(claim, folder)])
    return f"for fold in {' '.join(str(fold) for fold in claim.folds)}; do {inner}; done"


def command(program: str, words: Sequence[str], python: str = "python") -> str:
    """A command line for the shell.

    Example:
        >>> command("train", ["fold=0", "dataset.root=/my data"])
        "python -m hmseg.train fold=0 'dataset.root=/my data'"
    """
    return shlex.join([python, "-m", f"hmseg.{program}", *words])


def _fold(fold: int | None) -> str:
    return "null" if fold is None else str(fold)
