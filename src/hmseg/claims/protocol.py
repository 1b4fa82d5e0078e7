"""What a claim was measured on: its experiment's configuration, the published episodes by digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hmseg.claims.table import ASSETS, BENCHMARKS, Claim
from hmseg.config import compose_plain

EPISODES = {"fss": 2400}
"""Of a test where it isn't 1000 (REFERENCE section 9)."""
PUBLISHED_EPISODES = 1000


@dataclass(frozen=True)
class Protocol:
    """How a claim is trained and tested.

    Attributes:
        config: the configuration of its experiment, plain data; fold, seed and places count for nothing.
        size: side of the network's input in pixels.
        resize: ``pil`` or ``opencv``.
        episodes_of: the protocol of the test episodes, ``hsnet``, ``ifsl`` or ``strict``.
        episodes: how many of them.
        published_lists: must the image lists be the published ones? Not where there are none.
    """

    config: Mapping[str, Any]
    size: int
    resize: str
    episodes_of: str
    episodes: int
    published_lists: bool


def protocol_of(claim: Claim) -> Protocol:
    """The full protocol of a claim.

    Raises:
        ConfigError: there is no such experiment, or it can't be composed.

    Example:
        >>> from hmseg.claims import find_claim, published
        >>> protocol = protocol_of(find_claim("coco2pascal/1shot/vat/hybrid/resnet50", published()))
        >>> protocol.size, protocol.resize, protocol.episodes_of, protocol.episodes
        (417, 'opencv', 'hsnet', 1000)
    """
    config = experiment_config(claim.experiment, claim.folds[0])
    known = claim.benchmark in BENCHMARKS
    stated = config["loader"]["test_episodes"]
    return Protocol(
        config=config,
        size=config["dataset"]["image_size"],
        resize=config["loader"]["resize"],
        episodes_of=config["loader"]["protocol"],
        episodes=EPISODES.get(claim.benchmark, PUBLISHED_EPISODES) if known or stated is None else stated,
        published_lists=known,
    )


@cache
def experiment_config(experiment: str, fold: int | None = 0) -> dict[str, Any]:
    """The resolved configuration of an experiment, as plain data. Not to be changed: it is kept.

    Raises:
        ConfigError: there is no such experiment, or it can't be composed.
    """
    return compose_plain(f"experiment={experiment}", f"fold={'null' if fold is None else fold}")


def digest_of(claim: Claim, fold: int | None) -> str | None:
    """SHA-256 of the published test episodes of one fold; None where it isn't known (COCO -> PASCAL).

    Example:
        >>> from hmseg.claims import find_claim, published
        >>> digest_of(find_claim("coco/5shot/asnet/none/resnet50", published()), 0)[:12]
        'd2dd7fb27deb'
    """
    by_setting = _assets()["digests"].get(protocol_of(claim).episodes_of, {})
    part = "test" if fold is None else f"fold{fold}"
    found: str | None = by_setting.get(f"{claim.benchmark} {part} {claim.shot}shot")
    return found


def training_episodes(claim: Claim, fold: int | None) -> int | None:
    """Episodes of one epoch of a claim's training; None where that depends on data that is not known here.

    Example:
        >>> from hmseg.claims import find_claim, published
        >>> training_episodes(find_claim("coco2pascal/1shot/vat/hybrid/resnet50", published()), 1)
        74381
    """
    stated: int | None = protocol_of(claim).config["loader"]["train_episodes"]
    if stated is not None:
        return stated
    counts = _assets()["training"].get(claim.benchmark.removesuffix("2pascal"))
    return None if counts is None else int(counts[fold or 0])


@cache
def _assets() -> dict[str, Any]:
    """Digests of the published episodes (REFERENCE section 10), lengths of the published training lists."""
    found: dict[str, Any] = json.loads((ASSETS / "episodes.json").read_text(encoding="utf-8"))
    return found
