"""Draw the README's picture: the bundled network on photos of animals that it has one annotated example of.

    python benchmarks/readme_picture.py docs/images/photos.jpg --root animals7

A row for each class that took no part in any choice. Nothing is picked by looking: the support is the first
photo of its class in the annotations, the queries are the next four, ten numbers apart, since neighbours are
often of one scene. Photos whose outlines leave the photo (made for another size) are passed over.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

import hmseg
from hmseg.files import writing_bytes
from hmseg.visualise import with_mask
from hmseg.visualise.style import COLOURS, TRUTH, sheet, show

CLASSES = ("tiger", "turtle", "otter")
QUERIES = 4
APART = 10


def photos(annotations: COCO, name: str) -> Iterator[int]:
    """Yield ids of photos of a class, in order, no two close to each other."""
    (category,) = annotations.getCatIds(catNms=[name])
    last = -APART
    for image in sorted(annotations.getImgIds(catIds=[category])):
        about = annotations.loadImgs(image)[0]
        boxes = [each["bbox"] for each in annotations.loadAnns(annotations.getAnnIds(imgIds=[image]))]
        inside = all(x + w <= about["width"] + 1 and y + h <= about["height"] + 1 for x, y, w, h in boxes)
        if inside and image - last >= APART:
            last = image
            yield image


def mask_of(annotations: COCO, image: int, name: str) -> NDArray[np.bool_]:
    """The union of a photo's outlines of a class, (H, W)."""
    ids = annotations.getAnnIds(imgIds=[image], catIds=annotations.getCatIds(catNms=[name]))
    return np.any([annotations.annToMask(each) for each in annotations.loadAnns(ids)], axis=0)


def draw(segmenter: hmseg.Segmenter, root: Path) -> Figure:
    """A row for each class: the annotated photo and what is found in four others."""
    annotations = COCO(str(root / "annotations.json"))
    with sheet(len(CLASSES), 1 + QUERIES, 1.0, "") as (figure, rows):
        for row, name in zip(rows, CLASSES, strict=True):
            support, *queries = (
                image for image, _ in zip(photos(annotations, name), range(1 + QUERIES), strict=False)
            )
            paths = {
                each: root / "images" / annotations.loadImgs(each)[0]["file_name"]
                for each in (support, *queries)
            }
            mask = mask_of(annotations, support, name)
            segmenter.fit(paths[support], mask, name=name)
            show(
                row[0],
                with_mask(np.asarray(Image.open(paths[support]).convert("RGB")), mask, TRUTH),
                name,
                "annotated",
            )
            for panel, image in zip(row[1:], queries, strict=True):
                found = segmenter.predict(paths[image])
                truth = mask_of(annotations, image, name)
                share = (found.mask & truth).sum() / (found.mask | truth).sum()
                show(
                    panel,
                    with_mask(found.image, found.mask, COLOURS["hybrid"]),
                    "found",
                    f"IoU {100 * share:.0f} %",
                )
            segmenter.remove(name)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="JPEG file")
    parser.add_argument("--root", type=Path, required=True, help="folder of animals7")
    words = parser.parse_args()
    figure = draw(hmseg.Segmenter.from_pretrained(device="cpu"), words.root)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    with writing_bytes(words.out) as file:
        Image.open(drawn).convert("RGB").save(file, "JPEG", quality=80)
    print(f"{words.out}: {words.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
