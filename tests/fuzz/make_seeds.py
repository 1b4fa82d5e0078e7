"""Writes the seeds, small right files of every format and some wrong ones: ``python -m fuzz.make_seeds``."""

# ruff: noqa: E501 - tables read best in one line each
from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

from fuzz.targets import SEEDS, plain
from hmseg.claims import published
from hmseg.claims.table import COLUMNS as CLAIMS
from hmseg.data import cache_file
from hmseg.data.episode import EpisodeSpec, Sample
from hmseg.data.manifest import Manifest, write_manifest
from hmseg.episode_table import COLUMNS
from made_records import made_record

CONFIG = {
    "aggregation": "vote",
    "masking": {"_target_": "hmseg.masking.HybridMasking", "relu": "before", "levels": None},
    "model": {"_target_": "hmseg.networks.hsnet.HSNetHead", "_partial_": True},
}
ENTRY = {"format": 1, "config": CONFIG, "backbone_weights": "file", "backbone_fingerprint": "f" * 64}
ROWS = f"{','.join(COLUMNS)}\n0,1,20,100,70,90,10,30\n1,2,30,100,60,80,20,40\n"
COCO = {
    "images": [{"id": 7, "file_name": "a.jpg", "height": 20, "width": 30}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[1, 1, 20, 1, 20, 15, 1, 15]]},
        {
            "id": 2,
            "image_id": 7,
            "category_id": 5,
            "iscrowd": 1,
            "segmentation": {"size": [20, 30], "counts": [100, 50, 450]},
        },
        {"id": 3, "image_id": 7, "category_id": 3, "segmentation": {"size": [20, 30], "counts": "T3b12"}},
    ],
    "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
}
LABELME = {
    "version": "5.5.0",
    "imagePath": "a.jpg",
    "imageHeight": 20,
    "imageWidth": 30,
    "shapes": [
        {"label": "cat", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"},
        {"label": "dog", "points": [[2, 2], [5, 5]], "shape_type": "circle"},
    ],
}


def pictures() -> dict[str, bytes]:
    """Small pictures of every format that is read."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image, found = Image.fromarray(pixels), {}
    grey = Image.fromarray((pixels[..., 0] > 99).astype(np.uint8))
    see_through = image.convert("RGBA")
    see_through.putalpha(Image.fromarray((pixels[..., 0] > 99).astype(np.uint8) * 255))
    for name, each, kind, options in (
        ("a.jpg", image, "JPEG", {}),
        ("a.png", image, "PNG", {}),
        ("a.webp", image, "WEBP", {}),
        ("a.gif", image, "GIF", {}),
        ("a.tif", image, "TIFF", {}),
        ("b.tif", image, "TIFF", {"compression": "tiff_lzw"}),
        ("a.bmp", image, "BMP", {}),
        ("grey.png", grey, "PNG", {}),
        ("palette.png", grey.convert("P"), "PNG", {}),
        ("alpha.png", see_through, "PNG", {}),
        ("bit.png", grey.convert("1"), "PNG", {}),
    ):
        file = io.BytesIO()
        each.save(file, kind, **options)
        found[name] = file.getvalue()
    return found


def torch_files() -> dict[str, bytes]:
    """A checkpoint, a state dict, and both in the older format."""
    state = {"network.a": torch.arange(4.0), "network.b": torch.tensor(3)}
    run = {"state_dict": state, "hmseg": ENTRY, "epoch": 1, "callbacks": {}, "loops": {"a": (1, [2])}}
    found = {}
    for name, content, zipped in (
        ("run.ckpt", run, True),
        ("state.pt", state, True),
        ("old.ckpt", run, False),
        ("old.pt", state, False),
    ):
        file = io.BytesIO()
        torch.save(content, file, _use_new_zipfile_serialization=zipped)
        found[name] = file.getvalue()
    return found


def archives() -> dict[str, bytes]:
    """A zip and tars of three files, and one that would leave the folder."""
    found = {}
    for name, mode in (("a.tar", "w"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz")):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]
            for number in range(3):
                entry = tarfile.TarInfo(f"a/{number}.txt")
                entry.size = 50
                tar.addfile(entry, io.BytesIO(b"x" * 50))
        found[name] = file.getvalue()
    for name, names in (("a.zip", ("a/0.txt", "a/1.txt")), ("up.zip", ("../0.txt",))):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in names:
                archive.writestr(zipfile.ZipInfo(each), b"y" * 50)
        found[name] = file.getvalue()
    return found


def cached(folder: Path) -> bytes:
    """A file of the image cache."""
    mask = np.array([[True, False], [False, True]])
    sample = Sample(np.zeros((2, 3, 3), np.uint8), mask, ~mask)
    cache_file.write(folder / "cache", [[1, 2]], cache_file.Entry.of(3, sample))
    content = (folder / "cache").read_bytes()
    (folder / "cache").unlink()
    return content


def manifest(folder: Path) -> bytes:
    """Two episodes."""
    specs = (EpisodeSpec(0, "a", ("b",)), EpisodeSpec(1, "c", ("d",)))
    write_manifest(folder / "m", Manifest("pascal", 0, "test", 1, "hsnet", (0,), "published", specs))
    content = (folder / "m").read_bytes()
    (folder / "m").unlink()
    return content


def seeds() -> Mapping[str, Mapping[str, bytes]]:
    """The contents by target and name."""
    SEEDS.mkdir(exist_ok=True)
    record = made_record(published()[0], training__history=[{"epoch": 1, "seconds": 3.0, "miou": 20.0}])
    record["per_class"] = [{"class_id": 1, "name": "cat", "iou": 20.0, "episodes": 4}]
    presence = {"format": 1, "rule": [32, 3], "state": "state", "images": {"a": [[1, 2], [1]]}}
    origin = {"entity": None, "project": "p", "run": "r", "group": None, "artifacts": {"best.ckpt": "m:v0"}}
    png, wrong = pictures(), pickle.dumps({0: [("a",)], 1: [len]})
    return {
        "checkpoint": torch_files(),
        "safetensors": {"a": save_safetensors({"a": torch.arange(4.0), "b": torch.zeros(2, 2)})},
        "settings": {
            "right": plain(CONFIG),
            "hostile": plain({"masking": {"_target_": "os.system", "a": "${b}"}}),
        },
        "overrides": {
            "right": b"- fold=1\n- optimizer.lr=1e-3\n",
            "hostile": b"- +a={_target_: os.system}\n",
        },
        "pickle": {
            **{f"p{n}": pickle.dumps({0: ["val2014/a.jpg"], 3: [7]}, n) for n in range(6)},
            "wrong": wrong,
        },
        "list": {"a": b"2007_000033__01\n2007_000042__19\n"},
        "manifest": {"a": manifest(SEEDS)},
        "episodes": {"a": gzip.compress(ROWS.encode(), mtime=0)},
        "journal": {"a": f"key\n{ROWS}".encode()},
        "records": {"a": plain(record) + b"\n"},
        "claims": {
            "a": f"{','.join(CLAIMS)},experiment,folds\n".encode()
            + b"mine,1,hsnet,hybrid,resnet50,44.3,41 45,70,x,mine,2\n"
        },
        "events": {"a": plain({"claim": "c", "event": "started", "step": "train", "fold": 0}) + b"\n"},
        "origin": {"a": plain(origin)},
        "presence": {"a": plain(presence)},
        "cache": {"a": cached(SEEDS)},
        "coco": {"a": plain(COCO)},
        "annotation": {
            "coco": plain(COCO),
            "labelme": plain(LABELME),
            "yolo": b"0 0.1 0.1 0.9 0.1 0.9 0.9\n1 0 0 1 0 1 1\n",
        },
        "image": png,
        "upload": {name: png[name] for name in ("a.jpg", "a.png", "a.webp", "alpha.png")},
        "request": {"a": plain({"query": "k", "x": 0.5, "level": 3, "masking": "hybrid"})},
        "archive": archives(),
    }


def main() -> None:
    """Writes those that are missing; found inputs beside them stay."""
    for target, contents in seeds().items():
        (SEEDS / target).mkdir(exist_ok=True)
        for name, content in contents.items():
            if not (path := SEEDS / target / name).exists():
                path.write_bytes(content)


if __name__ == "__main__":
    main()
