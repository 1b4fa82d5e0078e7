"""Does a record count towards a claim? Only if it was measured on the claim's full protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hmseg.claims.fit_training import of_training
from hmseg.claims.nodes import differences, get, short, shown, target
from hmseg.claims.protocol import Protocol, digest_of, protocol_of
from hmseg.claims.table import Claim

Record = Mapping[str, Any]
ORIGINS = ("trained", "published", "imported")
"""Of a checkpoint: trained here, or a published one (records before format 2 call it imported)."""

_PARTS = ("test", "config", "checkpoint", "backbone")


def about(claim: Claim, record: Record) -> bool:
    """Is a record of this claim's subject at all: model, masking, backbone, data set, shots, fold?

    Options of a masking don't matter here: a variation of hybrid masking is about the claim, and
    :func:`why_not` says that it is another one.
    """
    if not _usable(record):
        return False
    test, config = record["test"], record["config"]
    if (test.get("dataset"), test.get("shot")) != (claim.benchmark, claim.shot):
        return False
    if test.get("fold") not in claim.folds or get(config, "backbone.name") != claim.backbone:
        return False
    expected = protocol_of(claim).config  # looked at last: composing it takes a fifth of a second
    return all(target(config, part) == target(expected, part) for part in ("model", "masking"))


def _usable(record: Record) -> bool:
    """Has it the parts that are looked at? A file of records may hold anything."""
    if not all(isinstance(record.get(name), Mapping) for name in _PARTS):
        return False
    known = isinstance(record["checkpoint"].get("sha256"), str)
    numbers = all(isinstance(record.get(name), int | float) for name in ("miou", "fb_iou", "episodes"))
    return known and numbers


def why_not(claim: Claim, record: Record) -> list[str]:
    """Why a record does not count towards a claim, each reason in words; empty where it does.

    Args:
        claim: the claim.
        record: of format 2, as evaluations write them.

    Raises:
        ConfigError: the claim's experiment can't be composed.
    """
    protocol = protocol_of(claim)
    return [
        *_of_network(claim, protocol, record),
        *_of_test(claim, protocol, record),
        *_of_checkpoint(protocol, record),
    ]


def _of_network(claim: Claim, protocol: Protocol, record: Record) -> Iterable[str]:
    config, expected = record["config"], protocol.config
    for part, name in (("model", claim.model), ("masking", claim.masking)):
        if target(config, part) != target(expected, part):
            yield f"{part} {short(target(config, part))} instead of {name}"
        else:
            yield from differences(part, config.get(part), expected[part])
    backbone = get(config, "backbone.name")
    if backbone != expected["backbone"].get("name"):
        yield f"backbone {backbone} instead of {claim.backbone}"
    allowed = [expected["backbone"].get("weights")]
    if _origin(record) != "trained":
        allowed.append("checkpoint")  # a published file brings its own
    weights = record["backbone"].get("weights")
    if weights not in allowed:
        yield f"backbone weights {weights}, not {' or '.join(map(str, allowed))}"


def _of_test(claim: Claim, protocol: Protocol, record: Record) -> Iterable[str]:
    test, name = record["test"], protocol.config["dataset"]["name"]
    if test.get("dataset") != name:
        yield f"tested on {test.get('dataset')} instead of {name}"
    if test.get("fold") not in claim.folds:
        yield f"fold {test.get('fold')}, which {claim.benchmark} has not"
    if test.get("shot") != claim.shot:
        yield f"{test.get('shot')} shots instead of {claim.shot}"
    if protocol.published_lists and test.get("lists") != "published":
        yield f"lists {test.get('lists')}, not published"
    yield from _of_episodes(claim, protocol, record)
    size = [protocol.size, protocol.size]
    if test.get("size") != size:
        yield f"{_pixels(test.get('size'))} px instead of {_pixels(size)}"
    if test.get("original_size") is not False:
        yield "tested at the original size instead of the network's"
    resize = test.get("resize", get(record["config"], "loader.resize"))
    if resize != protocol.resize:
        yield f"resize {resize} instead of {protocol.resize}"
    if test.get("aggregation") != "vote":
        yield f"aggregation {test.get('aggregation')} instead of vote"
    precision = get(record["config"], "trainer.precision")
    if precision != protocol.config["trainer"]["precision"]:
        yield f"precision {precision} instead of {protocol.config['trainer']['precision']}"
    if get(record["config"], "features.precision") == "float16":
        yield "backbone maps rounded to float16"


def _of_episodes(claim: Claim, protocol: Protocol, record: Record) -> Iterable[str]:
    test = record["test"]
    if test.get("protocol") != protocol.episodes_of:
        yield f"episodes of protocol {test.get('protocol')} instead of {protocol.episodes_of}"
    if test.get("protocol_seed") != 0:
        yield f"protocol seed {test.get('protocol_seed')} instead of 0"
    if record["episodes"] != protocol.episodes:
        yield f"{record['episodes']} episodes instead of {protocol.episodes}"
    digest = digest_of(claim, test["fold"]) if test.get("fold") in claim.folds else None
    if digest is not None and test.get("digest") != digest:
        other = str(test.get("digest"))[:12]
        yield f"other episodes (SHA-256 {other}) than the published ones ({digest[:12]})"


def _of_checkpoint(protocol: Protocol, record: Record) -> Iterable[str]:
    origin, checkpoint = _origin(record), record["checkpoint"]
    if origin not in ORIGINS:
        yield f"a checkpoint of origin {origin}, neither trained here nor published"
    training = record.get("training") or {}
    config = training.get("config")
    yield from _of_classes(protocol, record["test"], config if isinstance(config, Mapping) else {})
    if origin != "trained":
        return
    if checkpoint.get("which") != "best":
        yield f"checkpoint {checkpoint.get('which')} instead of best"
    if training.get("complete") is not True:
        yield f"training not {'' if training.get('complete') is False else 'known to be '}complete"
    if training.get("selection") != "published":
        yield f"best checkpoint chosen on {training.get('selection')} classes instead of published"
    if not isinstance(config, Mapping) or not config.get("optimizer"):
        yield "the configuration of the training is not in the record"
        return
    yield from of_training(protocol.config, config)


def _of_classes(protocol: Protocol, test: Mapping[str, Any], config: Mapping[str, Any]) -> Iterable[str]:
    """The classes of the test must be those that the training never saw."""
    name = protocol.config["dataset"]["name"]
    trained_on = get(config, "dataset.name")
    if trained_on not in (name, name.removesuffix("2pascal")):
        yield f"trained on {trained_on} instead of {name.removesuffix('2pascal')}"
    if config.get("fold") != test.get("fold"):
        yield f"trained for fold {shown(config.get('fold'))}, tested on fold {shown(test.get('fold'))}"


def _origin(record: Record) -> Any:
    return record["checkpoint"].get("origin")


def _pixels(size: Any) -> str:
    """A side, or height x width."""
    sides = list(size) if isinstance(size, list | tuple) else [size]
    return str(sides[0]) if len(set(sides)) == 1 else "x".join(map(str, sides))
