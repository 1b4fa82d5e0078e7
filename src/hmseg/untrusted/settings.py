"""Settings that a file brings along: the one reader for resume, evaluate, export, convert, predict and W&B.

Stored settings are plain data. They build what the project ships and nothing else, and name nothing to be
looked up: an interpolation such as ``${oc.env:NAME}`` would read the environment of whoever opens the file.
Who wants code or an interpolation of his own names it again.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from hmseg.errors import CheckpointError
from hmseg.untrusted.parsing import reason

TARGET = "_target_"
_PLAIN = (str, int, float, bool, type(None))
_DEEPEST = 50


def settings_of(checkpoint: Any) -> dict[str, Any]:
    """The settings inside a checkpoint that was read.

    Raises:
        CheckpointError: it has none, or they are more than plain data.

    Example:
        >>> settings_of({"hmseg": {"config": {"fold": 1}}})
        {'fold': 1}
    """
    stored = checkpoint.get("hmseg") if isinstance(checkpoint, Mapping) else None
    config = stored.get("config") if isinstance(stored, Mapping) else None
    if not isinstance(config, dict):
        raise CheckpointError("holds no hmseg configuration; it was not written by hmseg.train")
    for _ in _values(config):
        pass  # each is looked at
    return config


def node_of(settings: Mapping[str, Any], group: str, known: Container[str], remedy: str) -> dict[str, Any]:
    """What a group of the settings builds, and with which arguments.

    Args:
        settings: from :func:`settings_of`.
        group: such as ``model``.
        known: names that may stand under ``_target_``.
        remedy: ends the message: what to do instead.

    Raises:
        CheckpointError: it is absent, builds something else, or holds an interpolation.

    Example:
        >>> node_of({"model": {"_target_": "os.system"}}, "model", {"hmseg.Head"}, "give model=…")
        Traceback (most recent call last):
        hmseg.errors.CheckpointError: its model builds 'os.system', which is not part of hmseg: give model=…
    """
    node = settings.get(group)
    if not isinstance(node, dict):
        raise CheckpointError(f"its configuration has no {group}; {remedy}")
    check(f"its {group}", node, known, remedy)
    return dict(node)


def value_of(settings: Mapping[str, Any], key: str, *kinds: type, default: Any = None) -> Any:
    """A single setting of one of some types; the default where it is absent.

    Raises:
        CheckpointError: it is of another type, or an interpolation.

    Example:
        >>> value_of({"fold": 1}, "fold", int)
        1
        >>> value_of({"fold": "${oc.env:HOME}"}, "fold", int)
        Traceback (most recent call last):
        hmseg.errors.CheckpointError: its fold is '${oc.env:HOME}', int was expected; give fold=…
    """
    value = settings.get(key, default)
    if value is default or value is None:
        return value
    if type(value) not in kinds or (isinstance(value, str) and "${" in value):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise CheckpointError(f"its {key} is {_quoted(value)}, {names} was expected; give {key}=…")
    return value


def check(what: str, settings: Any, known: Container[str], remedy: str) -> None:
    """Refuses settings that build or look up what they may not.

    Args:
        what: whose they are, which begins the message.
        settings: plain data.
        known: names that may stand under ``_target_``.
        remedy: ends the message.

    Raises:
        CheckpointError: something that is not known, or an interpolation.
    """
    for key, value in _values(settings):
        if key == TARGET and not (isinstance(value, str) and value in known):
            raise CheckpointError(f"{what} builds {_quoted(value)}, which is not part of hmseg: {remedy}")
        for text in (key, value):
            if isinstance(text, str) and "${" in text:
                raise CheckpointError(f"{what} holds the unresolved value {_quoted(text)}: {remedy}")


def _values(node: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key with what stands under it, at any depth; CheckpointError where that is no plain data."""
    if depth > _DEEPEST:
        raise CheckpointError(f"its configuration is nested more than {_DEEPEST} deep")
    if isinstance(node, dict):
        yield key, None
        for name, child in node.items():
            if not isinstance(name, str):
                raise CheckpointError(f"its configuration has the key {_quoted(name)}, a text was expected")
            if name == TARGET:
                yield name, child
            yield from _values(child, name, depth + 1)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from _values(child, "", depth + 1)
    elif isinstance(node, _PLAIN):
        if key != TARGET:
            yield key, node
    else:
        raise CheckpointError(f"its configuration holds a {type(node).__name__}, plain data was expected")


def _quoted(value: Any) -> str:
    return f"'{reason(ValueError(str(value)[:80]))}'"
