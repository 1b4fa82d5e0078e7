"""What each element of the training-free prototype gains, on training classes only.

Episodes are of PASCAL's folds 0 and 2, from their training lists, each class equally often; folds 1 and 3,
which are reported, are never looked at. One element at a time is changed, from the defaults.

    python benchmarks/prototype.py results/prototype --root VOC2012 --weights weights
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from timing import footer, made_on, write
from torch import Tensor

from hmseg.backbones import Backbone, build_backbone
from hmseg.baselines import network_inputs
from hmseg.data.dataset import EpisodeDataset, collate
from hmseg.data.episode import Episode, EpisodeSpec
from hmseg.data.pascal import PascalSource
from hmseg.masking import build_masking
from hmseg.metrics import FewShotIoU
from hmseg.networks import FewShotNetwork, PrototypeHead

CLASSES = (*range(5), *range(10, 15))
"""Of folds 0 and 2: training classes of both folds that are reported."""
OTHER_FOLD = 1
"""Whose training lists hold those of folds 0 and 2."""


@dataclass(frozen=True)
class Setting:
    """One way to compute: the default but for one element.

    Attributes:
        element: that is changed.
        value: in words.
        head: options of the head.
        masking: of the support.
        backbone: by name.
        side: of the images, pixels.
    """

    element: str
    value: str
    head: Mapping[str, Any] = field(default_factory=dict)
    masking: str = "feature"
    backbone: str = "efficientnet_lite2"
    side: int = 560


SETTINGS = (
    Setting("all as shipped", ""),
    Setting("background", "the mean (PANet)", {"background_sharpness": 0.0}),
    Setting("background", "sharpness 3", {"background_sharpness": 3.0}),
    Setting("background", "sharpness 10", {"background_sharpness": 10.0}),
    Setting("self-support", "none", {"self_support": 0.0}),
    Setting("self-support", "share 0.5", {"self_support": 0.5}),
    Setting("self-support", "from 0.3 of the largest margin", {"certain": 0.3}),
    Setting("self-support", "from 0.7 of the largest margin", {"certain": 0.7}),
    Setting("query's own background", "none", {"own_background": 0.0}),
    Setting("query's own background", "none, threshold 0.15", {"own_background": 0.0, "threshold": 0.15}),
    Setting("query's own background", "share 0.3", {"own_background": 0.3}),
    Setting("query's own background", "share 0.8", {"own_background": 0.8}),
    Setting("threshold", "0.1", {"threshold": 0.1}),
    Setting("maps", "last of level 4", {"maps": (0, 0, 0, 1)}),
    Setting("maps", "last of levels 3 and 4", {"maps": (0, 0, 1, 1)}),
    Setting("maps", "two of level 3, two of 4", {"maps": (0, 0, 2, 2)}),
    Setting("maps", "all of levels 3 and 4", {"maps": (0, 0, 99, 99)}),
    Setting("maps", "and the last of level 2", {"maps": (0, 1, 2, 3)}),
    Setting("none of them", "mean background, no self-support", {
        "background_sharpness": 0.0, "self_support": 0.0, "own_background": 0.0,
    }),
    Setting("masking", "none", masking="none"),
    Setting("masking", "input", masking="input"),
    Setting("masking", "hybrid", masking="hybrid"),
    Setting("side", "320 px", side=320),
    Setting("side", "420 px", side=420),
    Setting("side", "640 px", side=640),
    Setting("backbone", "mobilenet_v2", backbone="mobilenet_v2"),
    Setting("backbone", "resnet50_caffe", backbone="resnet50_caffe"),
    Setting("backbone", "vgg16", backbone="vgg16"),
)  # fmt: skip
WEIGHTS = {"resnet50_caffe": "resnet50_v1_caffe.pth", "vgg16": "vgg16_features.pth"}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every setting and write JSON and a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="of the page and its numbers, without an ending")
    parser.add_argument("--root", type=Path, required=True, help="VOC2012 folder with splits")
    parser.add_argument("--weights", type=Path, help="folder of other backbones' weights; else left out")
    parser.add_argument("--episodes", type=int, default=12, help="of each class")
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    source = PascalSource(args.root)
    specs = list(balanced(source, args.episodes, args.shots, random.Random(args.seed)))
    settings = [each for each in SETTINGS if args.weights is not None or each.backbone not in WEIGHTS]
    scores = measured(source, specs, settings, args.weights)
    record = {
        "episodes": len(specs),
        "shots": args.shots,
        "seed": args.seed,
        "rows": [
            {"element": each.element, "value": each.value, "miou": round(score, 2)}
            for each, score in zip(settings, scores, strict=True)
        ],
        **made_on(),
    }
    write(args.out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    write(args.out.with_suffix(".md"), page(record))


def balanced(source: PascalSource, count: int, shots: int, draw: random.Random) -> Iterator[EpisodeSpec]:
    """Yield ``count`` episodes of each class that has enough images, supports without repetition."""
    by_class = source.listing("train", OTHER_FOLD).by_class
    for class_id in CLASSES:
        names = list(by_class.get(class_id, ()))
        if len(names) <= shots:
            continue
        queries = draw.sample(names, len(names))
        for query in (queries * count)[:count]:
            supports = draw.sample([name for name in names if name != query], shots)
            yield EpisodeSpec(class_id, query, tuple(supports))


@torch.no_grad()
def measured(
    source: PascalSource, specs: Sequence[EpisodeSpec], settings: Sequence[Setting], weights: Path | None
) -> list[float]:
    """Return the mIoU of each setting; settings of one backbone, side and masking share its passes."""
    metrics = [FewShotIoU(sorted({spec.class_id for spec in specs})) for _ in settings]
    groups: dict[tuple[str, int, str], list[int]] = {}
    for index, each in enumerate(settings):
        groups.setdefault((each.backbone, each.side, each.masking), []).append(index)
    for (name, side, masking), members in groups.items():
        backbone = loaded(name, weights)
        heads = [PrototypeHead(backbone.feature_info, **settings[index].head) for index in members]
        network = FewShotNetwork(backbone, build_masking(masking), heads[0], join_shots=True).eval()
        dataset = EpisodeDataset(source, (side, side), keep=64)
        for number, spec in enumerate(specs):
            episode = collate([dataset[number, spec]])
            for index, mask in zip(members, predictions(network, heads, episode), strict=True):
                truth = episode.query_mask, episode.query_void, episode.class_id
                metrics[index].update(mask, *truth)
        for index in members:
            print(settings[index], f"{metrics[index].local().miou:.1f}", flush=True)
    return [metric.local().miou for metric in metrics]


class Remembering(Backbone):
    """A backbone that makes the maps of the last few images once, for several heads."""

    def __init__(self, backbone: Backbone, images: int = 4) -> None:
        super().__init__()
        self.backbone, self.feature_info, self.images = backbone, backbone.feature_info, images
        self.known: dict[bytes, list[Tensor]] = {}
        self.freeze()

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the maps of the backbone."""
        key = images.numpy().tobytes()
        if key not in self.known:
            self.known[key] = list(self.backbone.maps(images))
            for old in list(self.known)[: -self.images]:
                del self.known[old]
        yield from self.known[key]


def loaded(name: str, folder: Path | None) -> Backbone:
    """The backbone with ImageNet weights."""
    weights = str(folder / WEIGHTS[name]) if folder and name in WEIGHTS else "bundled"
    return Remembering(build_backbone(name, weights))


def predictions(
    network: FewShotNetwork, heads: Sequence[PrototypeHead], episode: Episode
) -> Iterator[Tensor]:
    """Yield each head's mask of an episode whose images pass the backbone once."""
    for head in heads:
        network.head = head
        yield network.predict(*network_inputs(episode))


def page(record: Mapping[str, Any]) -> str:
    """The table in Markdown."""
    base = record["rows"][0]["miou"]
    lines = [
        "# The training-free prototype, element by element",
        "",
        "mIoU in percent over training classes (PASCAL's folds 0 and 2, training lists), "
        f"{record['shots']}-shot, {record['episodes']} episodes, each class equally often, seed "
        f"{record['seed']}. One element at a time is changed; folds 1 and 3, which are reported elsewhere, "
        "took no part.",
        "",
        "| element | value | mIoU | against as shipped |",
        "|---|---|--:|--:|",
        *(
            f"| {row['element']} | {row['value']} | {row['miou']:.1f} | {row['miou'] - base:+.1f} |"
            for row in record["rows"]
        ),
        "",
        *footer(record),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
