"""Entry point ``python -m hmseg.prepare``: get a benchmark's data, build what is missing, verify."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hmseg.cli import Program, entry
from hmseg.config.checks_prepare import check_of, several
from hmseg.errors import HmsegError
from hmseg.files import given_path

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hmseg.data.source import Source
    from hmseg.preparation.run import Place, Plan


def task(cfg: DictConfig) -> None:
    """Prepare as configured."""
    from hmseg.preparation.run import run

    run(plan(cfg))


def plan(cfg: DictConfig) -> Plan:
    """What is to be done, as plain data.

    Args:
        cfg: a checked configuration; not changed.
    """
    from hmseg.preparation.archives import Shelf
    from hmseg.preparation.parallel import default_workers
    from hmseg.preparation.run import Plan

    cfg = copy.deepcopy(cfg)
    if cfg.root is not None:
        cfg.dataset.root = cfg.root  # the folders below it follow
    archives = (Path(path).expanduser() for path in several(cfg, "archive"))
    check = check_of(cfg.check)
    return Plan(
        dataset=cfg.dataset.name,
        places=_places(cfg.dataset),
        source=partial(_source, cfg.dataset.source),
        shelf=Shelf(tuple(archives), tuple(several(cfg, "url")), cfg.checksum),
        downloads=given_path(cfg.downloads),
        check="deep" if check == "deep" else check == "true",
        fetch_lists=cfg.splits == "fetch",
        workers=default_workers() if cfg.workers is None else cfg.workers,
    )


def _places(dataset: DictConfig) -> tuple[Place, ...]:
    """The folders of a data set: one, or two for COCO -> PASCAL."""
    from hmseg.preparation.run import Place

    splits, masks = given_path(dataset.splits), dataset.get("masks")
    if dataset.name == "coco2pascal":
        roots = {name: Path(dataset[name]).expanduser() for name in ("coco", "pascal")}
    else:
        roots = {dataset.name: Path(dataset.root).expanduser()}
    return tuple(Place(name, root, splits, masks) for name, root in roots.items())


def _source(node: DictConfig) -> Source:
    """The source that reads the data, its own errors unwrapped."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        source: Source = instantiate(node)
    except InstantiationException as error:
        if isinstance(error.__cause__, HmsegError):
            raise error.__cause__ from None
        raise
    return source


PROGRAM = Program(
    config_name="prepare",
    task=task,
    purpose="Download, unpack and verify a benchmark, build its masks and fetch its image lists.",
    examples=(
        "dataset=pascal root=/data/VOC2012 splits=fetch",
        "dataset=coco root=/data/COCO2014 archive=[train2014.zip,val2014.zip]",
        "dataset=coco root=/data/COCO2014 dataset.masks=json",
        "dataset=fss root=/data/FSS-1000 archive=/archives/fewshot_data.zip",
        "dataset=pascal root=/data/VOC2012 check=deep",
    ),
)


def main() -> None:
    """The console script ``hmseg-prepare``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
