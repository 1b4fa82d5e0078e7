"""Whether a class is in a photo at all: AUC, and the share of photos kept at the threshold.

Photos with and without the class, one support each, drawn by a fixed seed: of training classes (folds 0 and 2
of PASCAL-5i), where the threshold is set to keep nine of ten photos with the object, and of those of folds 1
and 3.

    python benchmarks/presence.py results/presence --root VOC2012 VOC2012_extra
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from timing import footer, made_on, write
from voc_pairs import REPORTED_FOLDS, TRAINING_FOLDS, Photos, network_of

from hmseg import Segmenter
from hmseg.segmenter.encoder import Encoder
from hmseg.segmenter.presence import LEAST

KEPT = 0.9
"""Share of the training classes' photos with the object that the threshold keeps."""
SUPPORTS = 5
"""Photos of a class that are drawn from as its supports; their maps are kept in memory."""

Trial = tuple[int, str, str, bool]
"""Class, query, support, and whether the query holds the class."""


def draw_trials(photos: Photos, folds: Sequence[int], count: int, pool: int) -> list[Trial]:
    """``count`` queries with and as many without a class, among at most ``pool`` photos a class."""
    random_ = random.Random(0)
    by_class = {
        number: random_.sample(names, min(pool, len(names)))
        for number, names in photos.by_class(folds).items()
    }
    supports = {number: names[:SUPPORTS] for number, names in by_class.items()}
    every = sorted({name for names in by_class.values() for name in names})
    holds = {name: set(np.unique(photos.labels(name)).tolist()) for name in every}
    trials: list[Trial] = []
    while len(trials) < 2 * count:
        number, present = random_.choice(list(by_class)), len(trials) % 2 == 0
        support = random_.choice(supports[number])
        queries = [name for name in every if (number in holds[name]) == present and name != support]
        if queries:
            trials.append((number, random_.choice(queries), support, present))
    return trials


def scores(encoder: Encoder, photos: Photos, trials: Sequence[Trial]) -> NDArray[np.float64]:
    """The presence of each trial's class in its query; each support and each query is encoded once."""
    kept = {
        (number, name): encoder.support(photos.image(name), photos.labels(name) == number, name)
        for number, name in {(trial[0], trial[2]) for trial in trials}
    }
    found = {}
    for query in sorted({trial[1] for trial in trials}):
        own = [trial for trial in trials if trial[1] == query]
        supports = [[kept[number, support]] for number, _, support, _ in own]
        for trial, answer in zip(own, encoder.answers([photos.image(query)], supports), strict=True):
            found[trial] = answer.presence[0]
    return np.array([found[trial] for trial in trials])


def auc(values: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """Return how often a photo with the object has the higher score than one without, ties half.

    Example:
        >>> auc(np.array([0.9, 0.5, 0.1]), np.array([True, False, True]))
        0.5
    """
    with_, without = values[present][:, None], values[~present][None]
    return float((with_ > without).mean() + 0.5 * (with_ == without).mean())


def summary(values: NDArray[np.float64], present: NDArray[np.bool_], least: float) -> dict[str, Any]:
    """AUC, and the shares kept at the threshold, in percent."""
    return {
        "with": int(present.sum()),
        "without": int((~present).sum()),
        "auc": round(auc(values, present), 3),
        "kept_with": round(100 * float((values[present] >= least).mean()), 1),
        "kept_without": round(100 * float((values[~present] >= least).mean()), 1),
    }


def page(record: dict[str, Any]) -> str:
    """The record as a table."""
    lines = [
        "# Is it there?",
        "",
        f"One support; {record['network']}; threshold {record['least']:g} (the package's; "
        f"{record['tenth']:g} keeps nine of ten photos with the object of training classes). Photos of "
        f"PASCAL VOC, at most {record['pool']} a class, in pairs with a support.",
        "",
        "| classes | with | without | AUC | kept with, % | kept without, % |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {row['with']} | {row['without']} | {row['auc']:.3f} | {row['kept_with']:.1f} "
            f"| {row['kept_without']:.1f} |"
            for name, row in record["results"].items()
        ),
        "",
        *footer(record),
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write OUT.json and OUT.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without an ending")
    parser.add_argument("--root", type=Path, nargs="+", required=True, help="VOC2012 folders")
    parser.add_argument("--ckpt", type=Path, help="of the network; the bundled one if none is given")
    parser.add_argument("--count", type=int, default=500, help="queries with, and without the object")
    parser.add_argument("--pool", type=int, default=40, help="most photos of a class")
    given = parser.parse_args(argv)
    photos = Photos(given.root)
    segmenter = Segmenter.from_checkpoint(given.ckpt, device="cpu")
    results, tenth = {}, 0.0
    for name, folds in (("training (folds 0, 2)", TRAINING_FOLDS), ("reported (folds 1, 3)", REPORTED_FOLDS)):
        trials = draw_trials(photos, folds, given.count, given.pool)
        values, present = scores(segmenter.encoder, photos, trials), np.array([trial[3] for trial in trials])
        if folds == TRAINING_FOLDS:
            tenth = round(float(np.quantile(values[present], 1 - KEPT)), 3)
        results[name] = summary(values, present, LEAST)
    record = {
        "network": network_of(segmenter),
        "least": LEAST,
        "tenth": tenth,
        "pool": given.pool,
        "results": results,
        **made_on(),
    }
    write(given.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(given.out.with_suffix(".md"), page(record))


if __name__ == "__main__":
    main()
