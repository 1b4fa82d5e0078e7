"""Published checkpoints into ours, and ours into the published formats (REFERENCE section 12)."""

from __future__ import annotations

import copy
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from hmseg.assembly import build_network, load_network, plain_config
from hmseg.checkpoints import advice, load_published, published_misfits
from hmseg.config.exported import check_target
from hmseg.errors import CheckpointError
from hmseg.files import sha256
from hmseg.known_weights import Comparison, compare_backbone, known_classifier
from hmseg.networks import FewShotNetwork
from hmseg.published import Published, published_content, read_published, save
from hmseg.run_checkpoints import fingerprint, pack, plain, read_checkpoint
from hmseg.state_dicts import Misfit

STORED = ("fold", "shot", "seed", "model", "masking", "backbone", "dataset")
"""Parts of the configuration that the new checkpoint keeps: those that an evaluation starts from."""
STORED_LOADER = ("protocol", "resize")
"""Likewise of ``loader``; nothing is known of what else the file was trained with."""
ROWS = 20
"""Of the table of misfits."""
WIDTH = 160
"""Of that table where there is no terminal: names of VAT's parameters are long."""
NETWORK = "network."
"""Prefix of the network's keys in a run's checkpoint."""


def run(cfg: DictConfig) -> Path:
    """The entry point's work: import ``cfg.source``, or with ``cfg.export`` export it, to ``cfg.out``.

    Returns:
        The file that was written.

    Raises:
        HmsegError: a file that can't be read, doesn't fit or can't be written.

    Example:
        >>> from hmseg.config import compose
        >>> words = ("model=hsnet", "masking=feature", "backbone=vgg16", "fold=2")
        >>> run(compose("source=hsnet_vgg_fold2.pt", "out=hsnet.ckpt", *words, config_name="convert"))
        Traceback (most recent call last):
        hmseg.errors.CheckpointError: no file at 'hsnet_vgg_fold2.pt': give the path of a published checkpoint
    """
    source, out = Path(cfg.source).expanduser(), Path(cfg.out).expanduser()
    check_target(source, out, cfg.overwrite)
    if cfg.export:
        export_checkpoint(cfg, source, out)
    else:
        import_checkpoint(cfg, source, out)
    return out


def import_checkpoint(cfg: DictConfig, source: Path, out: Path) -> None:
    """A published file into a checkpoint of ours, which always holds its own backbone.

    Raises:
        CheckpointError: the source can't be read or doesn't fit; misfits are printed as a table first.
        WeightsError: ``cfg.backbone.weights`` is a file to compare with, and can't be.
    """
    published = read_published(source)
    network = build_network(_with_weights(cfg, "checkpoint"))
    what = f"{type(network.head).__name__} on {cfg.backbone.get('name', type(network.backbone).__name__)}"
    if problems := published_misfits(network, published.state):
        print_misfits(f"{source.name} against {what}", problems)
        counts = Counter(each.kind for each in problems)
        words = {"missing": "missing", "unexpected": "unexpected", "shape": "of another shape"}
        found = ", ".join(f"{count} {words.get(kind, 'with other values')}" for kind, count in counts.items())
        raise CheckpointError(
            f"{source.name} does not fit {what}: {found}; {advice(network, published.state)}"
        )
    load_published(network, published.state)
    compared = compare_backbone(network.backbone, *_named(cfg))
    save(imported_content(cfg, network, published, source, compared), out)
    print(f"{source.name}: {len(published.state)} entries, all as {what} has them")
    if published.ignored:
        print(f"not loaded, being no weights: {', '.join(published.ignored)}")
    kept = "; the checkpoint keeps the file's" if compared.result == "different" else ""
    print(f"backbone: {compared.text}{kept}")
    fold = "without a fold" if cfg.fold is None else f"fold {cfg.fold}"
    masking = cfg.masking._target_.rpartition(".")[2].removesuffix("Masking").lower()
    print(f"stored as {masking} masking, {cfg.dataset.name}, {fold}, which the file can't confirm")
    print(f"written to {out}; test it with: python -m hmseg.evaluate ckpt={shlex.quote(str(out))}")


def imported_content(
    cfg: DictConfig, network: FewShotNetwork, published: Published, source: Path, compared: Comparison
) -> dict[str, Any]:
    """The checkpoint, as a training run would write it but for Lightning's own entries and the optimiser's.

    Args:
        cfg: of the entry point.
        network: with the published weights.
        published: as read.
        source: the published file.
        compared: how its backbone compares with the known weights.
    """
    told = plain_config(cfg)
    config = plain({key: told[key] for key in STORED})
    config["loader"] = {key: told["loader"][key] for key in STORED_LOADER}
    if "weights" in config["backbone"]:
        config["backbone"]["weights"] = "checkpoint"
    checkpoint: dict[str, Any] = {
        "state_dict": {f"{NETWORK}{name}": value for name, value in network.state_dict().items()},
    }
    if published.epoch is not None:
        checkpoint["epoch"] = published.epoch
    pack(checkpoint, "checkpoint", fingerprint(network.backbone), config)
    checkpoint["hmseg"]["imported"] = {
        "file": source.name,
        "sha256": sha256(source),
        "backbone": compared.record(),
    }
    return checkpoint


def print_misfits(title: str, problems: Sequence[Misfit]) -> None:
    """About ``ROWS`` misfits as a table on standard output, some of each kind, and how many there are."""
    kinds = Counter(each.kind for each in problems)
    share = ROWS if len(problems) <= ROWS else ROWS // len(kinds)
    shown = [each for kind in kinds for each in [m for m in problems if m.kind == kind][:share]]
    table = Table(title=title, title_justify="left")
    for column in ("name", "is", "found", "expected"):
        table.add_column(column, overflow="fold")
    words = {"shape": "of another shape", "values": "of other values"}
    for each in shown:
        table.add_row(each.name, words.get(each.kind, each.kind), each.found, each.expected)
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=WIDTH)
    console.print(table, markup=False)
    if len(problems) > len(shown):
        console.print(f"… and {len(problems) - len(shown)} more, {len(problems)} in all")


def export_checkpoint(cfg: DictConfig, source: Path, out: Path) -> None:
    """A checkpoint of ours into the published format of its model.

    The published code loads strictly and has the backbone's classifier, which our networks lack: it is added
    where the backbone's known weights hold it and are at hand.

    Raises:
        CheckpointError: the source isn't a checkpoint of ours, or there is no published format for its model.
        WeightsError: the checkpoint doesn't hold its backbone, and the weights can't be had.
    """
    checkpoint = read_checkpoint(source)
    network = load_network(cfg, checkpoint)
    classifier = known_classifier(network.backbone, *_named(cfg))
    epoch = checkpoint.get("epoch")
    save(published_content(network, classifier, epoch if type(epoch) is int else None), out)
    print(f"written to {out}: {type(network.head).__name__} and backbone under their published names")
    if not classifier:
        print(
            "without the backbone's classifier, which no prediction needs: the published code takes the file "
            "with load_state_dict(…, strict=False)"
        )


def _named(cfg: DictConfig) -> tuple[str, str]:
    """Name and weights of the backbone, which a user's own YAML file may lack."""
    return str(cfg.backbone.get("name", "")), str(cfg.backbone.get("weights", "random"))


def _with_weights(cfg: DictConfig, weights: str) -> DictConfig:
    changed = copy.deepcopy(cfg)
    if "weights" in changed.backbone:
        changed.backbone.weights = weights
    return changed
