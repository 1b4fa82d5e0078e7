"""Entry point ``python -m hmseg.episodes``: write a list of test episodes, or check one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmseg.cli import Program, entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def task(cfg: DictConfig) -> object:
    """Write or check as configured; PyTorch is imported here, when the configuration is known to be right."""
    from hmseg.episode_lists import run

    return run(cfg)


PROGRAM = Program(
    config_name="episodes",
    task=task,
    purpose="Write the test episodes of a benchmark to a file that evaluate takes, or check such a file.",
    examples=(
        "dataset=pascal fold=0 shot=5 out=pascal-fold0-5shot.jsonl",
        "dataset=coco fold=2 protocol=strict seeds=[0,1,2] out=strict.jsonl",
        "dataset=fss dataset.root=/data/FSS-1000 out=fss.jsonl",
        "dataset=pascal check=pascal-fold0-5shot.jsonl",
    ),
)


def main() -> None:
    """The console script ``hmseg-episodes``."""
    entry(PROGRAM)


if __name__ == "__main__":
    main()
