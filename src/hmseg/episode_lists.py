"""Lists of episodes as files: what ``python -m hmseg.episodes`` does."""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from hmseg.data.manifest import Manifest, check_manifest, read_manifest, write_manifest
from hmseg.data.protocols import seeded_episodes
from hmseg.data.source import Source, Split
from hmseg.errors import DataError

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> str:
    """The entry point's work; gives the digest of the list.

    Raises:
        HmsegError: data, lists or a file that cannot be used.
    """
    source: Source = instantiate(cfg.dataset.source)
    if cfg.check is not None:
        manifest = check(Path(cfg.check).expanduser(), source)
        print(f"{cfg.check}: {describe(manifest)}; every image is here")
        print(_comparison(manifest, source))
    else:
        manifest = draw(cfg, source)
        path = Path(cfg.out).expanduser()
        write_manifest(path, manifest)
        print(f"{describe(manifest)}, written to {path}")
    print(f"SHA-256 of the episodes: {manifest.digest}")
    return manifest.digest


def draw(cfg: DictConfig, source: Source) -> Manifest:
    """The list that the configuration asks for."""
    split: Split = "val" if cfg.split == "val" else "test"
    seeds = tuple(cfg.seeds)
    specs = seeded_episodes(cfg.protocol, source.listing(split, cfg.fold), cfg.shot, cfg.episodes, seeds)
    return Manifest(source.name, cfg.fold, split, cfg.shot, cfg.protocol, seeds, source.lists, tuple(specs))


def check(path: Path, source: Source) -> Manifest:
    """Reads a list, of whatever fold and shot, and checks that the source has its images."""
    manifest = read_manifest(path)
    check_manifest(manifest, source, manifest.fold)
    return manifest


def describe(manifest: Manifest) -> str:
    """Data set, fold, shots and protocol in words."""
    fold = "" if manifest.fold is None else f" fold {manifest.fold}"
    seeds = f"seed{'s' * (len(manifest.seeds) > 1)} {', '.join(map(str, manifest.seeds))}"
    return (
        f"{len(manifest.episodes)} {manifest.split} episodes of {manifest.dataset}{fold}, "
        f"{manifest.shot}-shot, protocol {manifest.protocol}, {seeds}, from {manifest.lists} lists"
    )


def _comparison(manifest: Manifest, source: Source) -> str:
    """Whether the protocol draws the same episodes from the lists that are here."""
    split: Split = "val" if manifest.split == "val" else "test"
    count = len(manifest.episodes) // len(manifest.seeds)
    try:
        listing = source.listing(split, manifest.fold)
        drawn = seeded_episodes(manifest.protocol, listing, manifest.shot, count, manifest.seeds)
        same = tuple(drawn) == manifest.episodes
    except DataError as error:
        return f"they can't be drawn from the lists here ({error})"
    what = "the same ones" if same else "other ones: its lists differ, or the list was not drawn"
    return f"drawing them from the {source.lists} lists here gives {what}"
