"""COCO's masks: how far several rules for overlaps agree with given mask files, and what reading masks costs.

python benchmarks/coco_masks.py results/coco_masks --root COCO2014 [--repeats 20] [--tiles 200]

``root`` holds ``annotations/instances_{train,val}2014.json`` and the mask files to compare with in
``annotations/{train,val}2014``. Writes <out>.json (the record) and <out>.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmseg.data.coco_masks import OVERLAP_RULE, JsonMasks
from hmseg.data.coco_shapes import Shape, paint
from hmseg.preparation.coco import build
from hmseg.preparation.masks import write_mask

SPLITS = ("train2014", "val2014")
Key = Callable[[int, Shape, int], Any]
# By what annotations are sorted before they are painted over each other; None leaves one out.
RULES: dict[str, Key] = {
    f"ours: {OVERLAP_RULE}": lambda place, shape, pixels: (not shape.crowd, -pixels),
    "fewer pixels on top, crowds like others": lambda place, shape, pixels: -pixels,
    "fewer pixels on top, crowds left out": lambda place, shape, pixels: None if shape.crowd else -pixels,
    "later in the file on top, crowds below": lambda place, shape, pixels: (not shape.crowd, place),
    "later in the file on top": lambda place, shape, pixels: place,
    "higher category on top": lambda place, shape, pixels: shape.value,
    "earlier in the file on top": lambda place, shape, pixels: -place,
    "more pixels on top": lambda place, shape, pixels: pixels,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, measure, write, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="path of the results without its ending")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20, help="times that every image is read")
    parser.add_argument("--tiles", type=int, default=200, help="copies of the annotations, for reading them")
    args = parser.parse_args(argv)
    from hmseg.environment import describe  # PyTorch: the processes that import this file need none
    from hmseg.results import write_json

    record = describe()
    record["versions"]["pycocotools"] = importlib.metadata.version("pycocotools")
    record |= {"agreement": agreement(args.root), "reading": reading(args.root, args.repeats)}
    record["loading"] = loading(args.root, args.tiles)
    write_json(args.out.with_suffix(".json"), record)
    text = report(record)
    args.out.with_suffix(".md").write_text(text)
    print(text)


def images(root: Path) -> list[tuple[JsonMasks, str, Path]]:
    """Every image that has annotations and a mask file."""
    found = []
    for split in SPLITS:
        masks = JsonMasks(root / f"annotations/instances_{split}.json").load()
        paths = ((name, root / f"annotations/{split}/{name}.png") for name in masks.names)
        found += [(masks, name, path) for name, path in paths if path.is_file()]
    return found


def agreement(root: Path) -> list[dict[str, Any]]:
    """Each rule against the mask files: identical images, differing pixels, and where those are."""
    from hmseg.data.reading import read_label_map

    rows = [{"rule": rule, "identical": 0, "differing": 0, "on_overlaps": 0} for rule in RULES]
    total = pixels = 0
    for masks, name, path in images(root):
        expected = read_label_map(path)
        shapes, planes = shapes_of(masks, name, expected.shape)
        covered = np.sum(planes, axis=0) if planes else np.zeros(expected.shape, dtype=int)
        total, pixels = total + 1, pixels + expected.size
        for row, key in zip(rows, RULES.values(), strict=True):
            wrong = painted(shapes, planes, key, expected.shape) != expected
            row["identical"] += int(not wrong.any())
            row["differing"] += int(wrong.sum())
            row["on_overlaps"] += int((wrong & (covered > 1)).sum())
    return [row | {"images": total, "pixels": pixels} for row in rows]


def shapes_of(
    masks: JsonMasks, name: str, size: tuple[int, ...]
) -> tuple[list[Shape], list[NDArray[np.bool_]]]:
    """The annotations of an image, and the pixels of each on its own."""
    content = json.loads(masks.path.read_text())
    ids = {Path(image["file_name"]).stem: image["id"] for image in content["images"]}
    order = sorted(category["id"] for category in content["categories"])
    shapes = [
        Shape(each["id"], order.index(each["category_id"]) + 1, bool(each["iscrowd"]), each["segmentation"])
        for each in content["annotations"]
        if each["image_id"] == ids[name]
    ]
    return shapes, [paint(size[0], size[1], [shape], name) > 0 for shape in shapes]


def painted(
    shapes: list[Shape], planes: list[NDArray[np.bool_]], key: Key, size: tuple[int, ...]
) -> NDArray[np.uint8]:
    """The label map under a rule, by whole planes."""
    labels = np.zeros(size, dtype=np.uint8)
    keys = [key(place, shape, int(planes[place].sum())) for place, shape in enumerate(shapes)]
    for place in sorted(
        (place for place in range(len(shapes)) if keys[place] is not None), key=keys.__getitem__
    ):
        labels[planes[place]] = shapes[place].value
    return labels


def reading(root: Path, repeats: int) -> dict[str, Any]:
    """Milliseconds an image: a mask file read, a mask painted, a mask file made."""
    from hmseg.data.reading import read_label_map

    chosen = images(root)
    with tempfile.TemporaryDirectory() as folder:
        made = [Path(folder) / f"{name}.png" for _, name, _ in chosen]
        for (masks, name, _), path in zip(chosen, made, strict=True):
            write_mask(masks.label_map(name), path)
        steps = {
            "PNG as given": [lambda path=path: read_label_map(path) for _, _, path in chosen],
            "PNG as made here": [lambda path=path: read_label_map(path) for path in made],
            "JSON": [lambda masks=masks, name=name: masks.label_map(name) for masks, name, _ in chosen],
            "making a PNG": [
                lambda masks=masks, name=name, path=path: write_mask(masks.label_map(name), path)
                for (masks, name, _), path in zip(chosen, made, strict=True)
            ],
        }
        found = {step: timed(calls, repeats) for step, calls in steps.items()}
        size = statistics.fmean(path.stat().st_size for path in made)
    files = {masks.path for masks, _, _ in chosen}
    annotations = sum(len(json.loads(path.read_text())["annotations"]) for path in files)
    return {
        "images": len(chosen),
        "annotations": annotations,
        "png_bytes": size,
        "repeats": repeats,
        "ms": found,
    }


def timed(calls: Sequence[Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median, quartiles and best over the repeats, after a warm-up, of the mean over the images.

    Processor time: other work on the machine stretches the other kind.
    """
    means = []
    for _ in range(repeats + 1):
        start = time.process_time()
        for call in calls:
            call()
        means.append(1000 * (time.process_time() - start) / len(calls))
    low, middle, high = statistics.quantiles(means[1:], n=4)
    return {"median": middle, "low": low, "high": high, "best": min(means[1:])}


def loading(root: Path, tiles: int) -> dict[str, Any]:
    """Reading a file of ``tiles`` times the annotations, and making its masks with 1 and 2 processes."""
    content = json.loads((root / "annotations/instances_train2014.json").read_text())
    big: dict[str, Any] = {"categories": content["categories"], "images": [], "annotations": []}
    for tile in range(tiles):
        for image in content["images"]:
            stem = f"COCO_train2014_{tile:06d}_{image['id']}"
            big["images"].append({**image, "id": f"{tile}/{image['id']}", "file_name": f"{stem}.jpg"})
        for each in content["annotations"]:
            big["annotations"].append({**each, "image_id": f"{tile}/{each['image_id']}"})
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances_big.json"
        path.write_text(json.dumps(big))
        start = time.process_time()
        masks = JsonMasks(path).load()
        seconds = time.process_time() - start
        making = {}
        for workers in (1, 2):
            start = time.perf_counter()
            build(path, Path(folder) / f"masks{workers}", workers)
            making[str(workers)] = 1000 * (time.perf_counter() - start) / len(masks.names)
        return {
            "images": len(masks.names),
            "annotations": len(big["annotations"]),
            "file_bytes": path.stat().st_size,
            "table_bytes": len(pickle.dumps(masks)),
            "seconds": seconds,
            "making_ms": making,
            "load_average": load,
        }


def report(record: dict[str, Any]) -> str:
    """A Markdown page."""
    rows, read, load = record["agreement"], record["reading"], record["loading"]
    lines = [
        "# COCO masks: rules for overlaps, and what reading costs",
        "",
        f"Against {rows[0]['images']} mask files of another tool ({rows[0]['pixels']:,} pixels):",
        "",
        "| rule | identical images | differing pixels | of these where annotations overlap |",
        "|---|---|---|---|",
        *(
            f"| {row['rule']} | {row['identical']} of {row['images']} | {row['differing']:,} "
            f"({100 * row['differing'] / row['pixels']:.3f} %) | {row['on_overlaps']:,} |"
            for row in rows
        ),
        "",
        f"Reading a mask of {read['images']} images ({read['annotations'] / read['images']:.1f} annotations "
        f"and {read['png_bytes'] / 1000:.1f} kB of PNG each), processor time, {read['repeats']} times each:",
        "",
        "| | median ms an image | quartiles | best |",
        "|---|---|---|---|",
        *(
            f"| {step} | {ms['median']:.2f} | {ms['low']:.2f} to {ms['high']:.2f} | {ms['best']:.2f} |"
            for step, ms in read["ms"].items()
        ),
        "",
        f"A file of {load['file_bytes'] / 1e6:.0f} MB ({load['images']:,} images, {load['annotations']:,} "
        f"annotations, copies of the given ones) is read in {load['seconds']:.1f} s of processor time; its "
        f"table takes {load['table_bytes'] / 1e6:.1f} MB in each process. Making its masks, by the clock, on "
        f"a machine busy with other work (load average {load['load_average']:.1f} before): "
        + ", ".join(f"{ms:.1f} ms an image with {n} process(es)" for n, ms in load["making_ms"].items())
        + ".",
        "",
        f"- command: `{record['command']}`",
        f"- commit: {record['commit']}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in record['versions'].items())}",
        f"- hardware: {record['hardware']['cpu']}, {record['hardware']['threads']} of "
        f"{record['hardware']['cores']} cores",
        f"- date: {record['date'][:10]}",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
