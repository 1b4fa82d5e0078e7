"""Two configurations side by side, and what differs between them in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def differences(name: str, ours: Any, theirs: Mapping[str, Any]) -> Iterable[str]:
    """Options of a node that are not as expected."""
    ours = ours if isinstance(ours, Mapping) else {}
    for key in {**theirs, **ours}:
        if ours.get(key) != theirs.get(key):
            label = name if key == "_target_" else f"{name} {key}"
            values = ours.get(key), theirs.get(key)
            words = map(short if key == "_target_" else shown, values)
            yield f"{label} {' instead of '.join(words)}"


def get(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, None where it is absent."""
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def target(config: Mapping[str, Any], part: str) -> Any:
    """What a part of the configuration builds."""
    return get(config, f"{part}._target_")


def short(target: object) -> str:
    """The last word of a dotted name."""
    return str(target).rpartition(".")[2]


def shown(value: Any) -> str:
    """As it is typed on the command line."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
