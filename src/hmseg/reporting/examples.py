"""Episodes in pictures: supports, query, truth and what two checkpoints make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from hmseg.assembly import build_datamodule, build_module
from hmseg.config import compose
from hmseg.config.runs import find_checkpoint, quoted
from hmseg.data.datamodule import EpisodeDataModule
from hmseg.data.dataset import collate
from hmseg.data.protocols import digest
from hmseg.data.source import class_names_of
from hmseg.errors import DataError
from hmseg.files import sha256
from hmseg.networks import FewShotNetwork
from hmseg.reporting.choosing import chosen_episodes, shared_measurements
from hmseg.reporting.measurement import Measurement
from hmseg.reporting.page import Example, Picture
from hmseg.reporting.pictures import data_uri
from hmseg.reporting.setting import differing
from hmseg.reporting.words import circumstances, fold_name, join, subject
from hmseg.run_checkpoints import read_checkpoint
from hmseg.visualise.choosing import Chosen
from hmseg.visualise.pictures import with_mask
from hmseg.visualise.style import COLOURS, MORE, TRUTH
from hmseg.visualise.tensors import iou, one_of, pixels, predicted


def make_examples(
    measurements: Sequence[Measurement],
    checkpoints: Sequence[str],
    count: int,
    overrides: Mapping[str, str],
) -> tuple[str, list[Example]]:
    """What the examples are, in words, and ``count`` each of the best, median and worst episodes.

    Args:
        measurements: of the report; the first checkpoint's table of episodes chooses.
        checkpoints: one or two, files or run folders.
        count: of each kind.
        overrides: settings that replace a checkpoint's own, such as ``dataset.root``.

    Raises:
        HmsegError: a checkpoint or data that can't be used, or episodes that are not the record's.
    """
    paths = [find_checkpoint("examples", each, ("best.ckpt", "last.ckpt")) for each in checkpoints]
    runs = shared_measurements(measurements, [sha256(path) for path in paths])
    built = [_build(path, run, overrides) for path, run in zip(paths, runs, strict=True)]
    table = runs[0].table
    assert table is not None  # shared_measurements looked
    names = _names(runs)
    chosen = chosen_episodes(table, count)
    examples = [_example(one, runs, built, names) for one in chosen]
    setting = runs[0].setting
    of = join(subject(setting), fold_name(runs[0].fold), circumstances(setting, but=("masking",)))
    text = (
        f"{of}. Episodes with the highest, the median and the lowest IoU of {names[0]}; what is outside a "
        "mask is paler, grey pixels don't count."
    )
    return text, examples


def _build(
    path: Path, run: Measurement, overrides: Mapping[str, str]
) -> tuple[FewShotNetwork, EpisodeDataModule]:
    """The checkpoint's network, and the episodes of its record."""
    setting = run.setting
    words = [
        f"ckpt={quoted(path)}",
        f"shot={setting.shot}",
        f"fold={'null' if run.fold is None else run.fold}",
        f"protocol={setting.protocol}",
        f"loader.test_episodes={setting.episodes // max(1, len(setting.protocol_seeds))}",
        f"loader.protocol_seed=[{','.join(map(str, setting.protocol_seeds))}]",
        f"dataset.image_size={setting.size[0]}",
        *(f"{key}={quoted(Path(value))}" for key, value in overrides.items()),
    ]
    cfg = compose(*words, config_name="evaluate")
    data = build_datamodule(cfg)
    if digest(data.test_specs) != run.digest:
        raise DataError(
            f"examples: the test episodes of {path.name} are not those of its record {run.identity}: "
            "the data's lists have changed; evaluate again"
        )
    module = build_module(cfg, data)
    module.restore(read_checkpoint(path))
    return module.network.eval().to(_device()), data


def _names(runs: Sequence[Measurement]) -> list[str]:
    """How the methods are told apart: by masking, else by whatever else differs."""
    apart = differing(run.setting for run in runs)
    if len(runs) == 1 or "masking" in apart:
        return [f"{run.setting.masking} masking" for run in runs]
    names = [join(*(str(getattr(run.setting, name)) for name in apart)) for run in runs]
    return names if len(set(names)) == len(runs) else [f"seed {run.seed}, {run.identity[:4]}" for run in runs]


def _example(
    one: Chosen,
    runs: Sequence[Measurement],
    built: Sequence[tuple[FewShotNetwork, EpisodeDataModule]],
    names: Sequence[str],
) -> Example:
    data = built[0][1]
    spec = data.test_specs[one.episode]
    dataset = data.whole_test().dataset
    batch = collate([dataset[one.episode, spec]])
    query = pixels(batch.query_image[0])
    truth, void = batch.query_mask[0].numpy(), batch.query_void[0].numpy()
    shots = zip(batch.support_images[0], batch.support_masks[0].numpy(), strict=True)
    pictures = [
        Picture(data_uri(with_mask(pixels(image), mask, TRUTH)), f"support {place + 1}")
        for place, (image, mask) in enumerate(shots)
    ]
    pictures += [
        Picture(data_uri(query), "query"),
        Picture(data_uri(with_mask(query, truth, TRUTH, void)), "truth"),
    ]
    for place, (run, (network, _), name) in enumerate(zip(runs, built, names, strict=True)):
        mask = predicted(network, one_of(batch))
        colour = COLOURS.get(run.setting.masking, MORE[place])
        title = f"{name}, IoU {iou(mask, truth, void):.1f}"
        pictures.append(Picture(data_uri(with_mask(query, mask, colour, void)), title))
    name = class_names_of(data.source, "test")[spec.class_id]
    return Example(f"{one.kind.capitalize()}: {name}, episode {one.episode}", tuple(pictures))


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
