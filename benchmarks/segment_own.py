"""Own photos: one annotated cat and ten other photos of VOC; masks, and time with and without kept supports.

Nothing is chosen by looking: the support is the first cat of the fold's published list, the queries are the
next ten cats, and the photos without a cat are the first ten of other classes that hold none.

    python benchmarks/segment_own.py results/segment_own --root VOC2012 --ckpt outputs/fold1_hybrid
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from published_network import PublishedNetwork
from segment_own_annotations import annotations
from segment_own_page import page, sheet
from timing import interleaved, made_on, seconds, write
from torch.nn import functional as F  # noqa: N812

from hmseg import Segmenter
from hmseg.data.reading import read_image, read_label_map
from hmseg.data.transforms import normalise, resize_image, resize_mask

CAT = 8
VOID = 255
FOLD = 1
QUERIES = 10
MOST_SUPPORTS = 5

Mask = NDArray[np.bool_]


class Photos:
    """Photos and label maps of VOC by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        lines = (root / f"splits/val/fold{FOLD}.txt").read_text().split()
        pairs = [(line.split("__")[0], int(line.split("__")[1])) for line in lines]
        self.cats = list(dict.fromkeys(name for name, number in pairs if number == CAT))
        others = dict.fromkeys(name for name, number in pairs if number != CAT)
        self.without = [name for name in others if not (self.labels(name) == CAT).any()]

    def photo(self, name: str) -> Path:
        return self.root / f"JPEGImages/{name}.jpg"

    def labels(self, name: str) -> NDArray[np.uint8]:
        return read_label_map(self.root / f"SegmentationClassAug/{name}.png")

    def cat(self, name: str) -> Mask:
        return np.asarray(self.labels(name) == CAT)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write OUT.json and OUT.md, and the sheet where a place is given for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without an ending")
    parser.add_argument("--root", type=Path, required=True, help="VOC2012 folder")
    parser.add_argument("--ckpt", type=Path, required=True, help="trained with cats held out (fold 1)")
    parser.add_argument("--weights", type=Path, help="of the backbone, if not where the checkpoint says")
    parser.add_argument("--sheet", type=Path, help="picture of all masks; VOC's photos may not be published")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sides", type=int, nargs="*", default=[160, 400], help="timed image sides")
    given = parser.parse_args(argv)
    photos = Photos(given.root)
    load = partial(Segmenter.from_checkpoint, given.ckpt, weights=given.weights, device="cpu")
    segmenter = load()
    record = {
        "support": photos.cats[0],
        "queries": scores(segmenter, photos),
        "without": false_alarms(segmenter, photos),
        "by_annotation": by_annotation(segmenter, photos),
        "by_support": by_support(segmenter, photos),
        "network": {"masking": repr(segmenter.network.masking), "side": segmenter.side},
        "timing": [
            row
            for side in given.sides
            for shots in (1, MOST_SUPPORTS)
            for row in timings(load(side=side), photos, shots, given.repeats)
        ],
        "repeats": given.repeats,
        **made_on(),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write(given.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(given.out.with_suffix(".md"), page(record))
    if given.sheet is not None:
        first = one_support(segmenter, photos)
        shown = [(name, photos.photo(name), photos.cat(name)) for name in names(photos)]
        sheet(first, photos.photo(photos.cats[0]), photos.cat(photos.cats[0]), shown).save(given.sheet)


def names(photos: Photos) -> list[str]:
    """The ten queries."""
    return photos.cats[1 : 1 + QUERIES]


def one_support(segmenter: Segmenter, photos: Photos) -> Segmenter:
    """With the first cat as its support."""
    first = photos.cats[0]
    return segmenter.fit(photos.photo(first), photos.cat(first), name="cat")


def scores(segmenter: Segmenter, photos: Photos) -> list[dict[str, Any]]:
    """IoU in percent of each query; void pixels don't count."""
    one_support(segmenter, photos)
    return [{"photo": name, "iou": iou(segmenter, photos, name)} for name in names(photos)]


def iou(segmenter: Segmenter, photos: Photos, name: str) -> float:
    found, labels = segmenter.predict(photos.photo(name)).mask, photos.labels(name)
    counts, cat = labels != VOID, labels == CAT
    union = (counts & (found | cat)).sum()
    return round(float(100 * (counts & found & cat).sum() / max(1, union)), 1)


def mean_iou(segmenter: Segmenter, photos: Photos, chosen: Sequence[str]) -> float:
    return round(statistics.fmean(iou(segmenter, photos, name) for name in chosen), 1)


def false_alarms(segmenter: Segmenter, photos: Photos) -> dict[str, Any]:
    """How much of photos without a cat is called one: percent of each."""
    one_support(segmenter, photos)
    masks = [segmenter.predict(photos.photo(name)).mask for name in photos.without[:QUERIES]]
    return {
        "photos": photos.without[:QUERIES],
        "foreground": [round(float(100 * mask.mean()), 1) for mask in masks],
    }


def by_annotation(segmenter: Segmenter, photos: Photos) -> dict[str, float]:
    """Mean IoU of the queries with the support's cat annotated in other ways."""
    first = photos.cats[0]
    found = {}
    for kind, annotation in annotations(photos.cat(first)).items():
        segmenter.fit(photos.photo(first), annotation, name="cat")
        found[kind] = mean_iou(segmenter, photos, names(photos))
    return found


def by_support(segmenter: Segmenter, photos: Photos) -> dict[str, Any]:
    """Mean IoU of ten queries that are no support here, with each of five supports, and all five together."""
    supports = photos.cats[:MOST_SUPPORTS]
    queries = photos.cats[MOST_SUPPORTS : MOST_SUPPORTS + QUERIES]
    alone = {}
    for name in supports:
        segmenter.fit(photos.photo(name), photos.cat(name), name="cat")
        alone[name] = mean_iou(segmenter, photos, queries)
    segmenter.fit(
        [photos.photo(each) for each in supports], [photos.cat(each) for each in supports], name="cat"
    )
    return {"alone": alone, "together": mean_iou(segmenter, photos, queries)}


def timings(segmenter: Segmenter, photos: Photos, shots: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds from a query's file to its mask: support kept, recomputed by us, and as published."""
    supports = photos.cats[:shots]
    count = max(1, QUERIES * 160**2 // (segmenter.side**2 * shots))  # fewer where each takes longer
    queries = photos.cats[shots : shots + count]
    segmenter.fit(
        [photos.photo(each) for each in supports], [photos.cat(each) for each in supports], name="cat"
    )
    published = PublishedNetwork(segmenter.network)
    works = {
        "support kept": lambda name: segmenter.predict(photos.photo(name)).mask,
        "recomputed, this network": lambda name: recomputed(segmenter, photos, supports, name),
        "recomputed, as published": lambda name: recomputed(segmenter, photos, supports, name, published),
    }
    masks = {way: [work(name) for name in queries] for way, work in works.items()}
    timed = interleaved(
        {
            way: partial(_mean_seconds, [partial(work, name) for name in queries])
            for way, work in works.items()
        },
        repeats,
    )
    kept = masks["support kept"]
    return [
        {
            "side": segmenter.side,
            "shots": shots,
            "queries": len(queries),
            "way": way,
            "seconds": [round(each, 4) for each in timed[way]],
            "differing": float(
                np.mean([(a != b).mean() for a, b in zip(kept, masks[way], strict=True)])
            ),  # share of pixels whose mask is not that with the support kept
        }
        for way in works
    ]


def _mean_seconds(works: Sequence[Any]) -> float:
    return statistics.fmean(seconds(work) for work in works)


@torch.no_grad()
def recomputed(
    segmenter: Segmenter,
    photos: Photos,
    supports: Sequence[str],
    query: str,
    published: PublishedNetwork | None = None,
) -> Mask:
    """The mask of a query with everything read and computed anew, as in an evaluation.

    Args:
        segmenter: whose network, side and device are taken.
        photos: all.
        supports: names.
        query: name.
        published: computes as the published code does, support by support; None: our network does.
    """
    square = (segmenter.side, segmenter.side)

    def seen(name: str) -> torch.Tensor:
        return normalise(resize_image(read_image(photos.photo(name)), square))

    images = torch.stack([seen(name) for name in supports])[None]
    masks = torch.stack([resize_mask(photos.cat(name), square) for name in supports])[None]
    size = photos.labels(query).shape  # of the photo
    asked = seen(query)[None]
    if published is None:
        logits = list(segmenter.network(asked, images, masks).unbind(dim=1))
    else:
        logits = [published(asked, images[:, n], masks[:, n].float()) for n in range(len(supports))]
    votes = torch.zeros(size)
    for each in logits:
        own = F.interpolate(each, size, mode="bilinear", align_corners=True)
        votes += own.argmax(dim=1)[0]
    return (votes / votes.max().clamp(min=1) >= 0.5).numpy()


if __name__ == "__main__":
    main()
