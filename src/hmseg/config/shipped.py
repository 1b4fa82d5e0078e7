"""What the shipped YAML files build: of settings that come out of a file, nothing else is built."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import yaml

from hmseg.config.composer import conf_dir


@cache
def shipped(group: str = "") -> frozenset[str]:
    """The ``_target_`` names in the shipped YAML files of a group, of all of them by default.

    Example:
        >>> sorted(shipped("model"))[0], "os.system" in shipped()
        ('hmseg.networks.asnet.ASNetHead', False)
    """
    files = (conf_dir() / group).glob("*.yaml") if group else conf_dir().rglob("*.yaml")
    texts = (file.read_text(encoding="utf-8") for file in files)
    return frozenset(target for text in texts for target in _targets(yaml.safe_load(text)))


def _targets(node: Any) -> Iterable[str]:
    """Every ``_target_`` in nested dicts and lists."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from _targets(child)
