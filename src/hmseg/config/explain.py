"""Hydra's and OmegaConf's exceptions, each as one line that says what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from hmseg.config.training_free import MODELS, NOTHING_TO_TRAIN
from hmseg.errors import unknown

_KINDS = {
    "Integer": "a whole number",
    "Float": "a number",
    "Boolean": "true or false",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
_IN_FILE = re.compile(r"In '(?P<file>[^']+)': \w+ raised while composing config:")
_CONVERSION = re.compile(
    r"Value '(?P<value>.*)' of type '[\w.]+' could not be converted to (?P<kind>\w+)", re.DOTALL
)
_INCOMPATIBLE = re.compile(
    r"Value '(?P<value>.*)' of type '[\w.]+' is incompatible with type hint '(?P<hint>.*)'", re.DOTALL
)

_NO_GROUP = re.compile(r"Could not override '(?P<group>[^']+)'\. No match in the defaults list")
_FOLLOWED = re.compile(r"Interpolation key '(?P<group>\w+)' not found")
_NOT_BOOL = re.compile(r"Value '(?P<value>.*)' is not a valid bool")
_NOT_A_NODE = re.compile(
    r"(?:Invalid type assigned|Merge error): (?P<kind>\w+) is not a subclass of (?P<type>\w+)\. "
    r"value: (?P<value>.*)"
)


def explain(error: BaseException, options: Callable[[str], list[str]]) -> str:
    """One line for an exception raised while composing.

    Args:
        error: the exception.
        options: gives the options of a group.
    """
    if isinstance(error, OverrideParseException):
        reason = str(error.message).splitlines()[0]
        return f"cannot read '{error.override}': {reason}; quote special characters twice: 'key=\"value\"'"
    found = _IN_FILE.match(str(error))
    where = f"{found['file']}: " if found else ""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _missing(error.missing_cfg_file, options)
    for cause in _chain(error):
        if absent := _FOLLOWED.match(str(cause)):  # an option follows a group that was taken away
            return f"{absent['group']}: a value is required; give {absent['group']}=…"
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and isinstance(
            cause.parent_node, DictConfig
        ):
            return where + unknown_key(str(cause.full_key), cause.parent_node)
        if isinstance(cause, ValidationError) and (cause.full_key or _NOT_A_NODE.search(str(cause))):
            return where + _wrong_type(cause)
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return f"{where}{cause.full_key}: {str(cause).splitlines()[0]}"
        if isinstance(cause, yaml.YAMLError):
            return " ".join(str(cause).split())
    if unused := _NO_GROUP.match(str(error)):
        return f"'{unused['group']}' is no setting of this program; see --help"
    lines = str(error).splitlines() or [type(error).__name__]
    return where + lines[1] if found and len(lines) > 1 else lines[0]


def unknown_option(group: str, name: str, options: Iterable[str]) -> str:
    """The message for an option that a group doesn't have.

    Example:
        >>> unknown_option("masking", "hybird", ["none", "hybrid"])
        "unknown option 'hybird' for masking: did you mean 'hybrid'? (known: hybrid, none)"
    """
    return unknown("option", name, options).replace(f"'{name}'", f"'{name}' for {group}", 1)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant, None if none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _missing(file: str, options: Callable[[str], list[str]]) -> str:
    group, _, name = file.rpartition("/")
    if not group:
        return f"there is no configuration '{file}'"
    hint = ""
    if group == "optimizer" and name in MODELS:
        return NOTHING_TO_TRAIN
    if group == "optimizer" and name in options("model"):  # its default is the model's own
        hint = f": model={name} comes without one of its own; give optimizer=adam or another"
    return unknown_option(group, name, options(group)) + hint


def unknown_key(key: str, parent: DictConfig) -> str:
    """The nearest key beside it; else the place where a key of that very name is (``lr``: ``optimizer.lr``).

    Args:
        key: dotted name of the key that is not there.
        parent: the node that doesn't have it.
    """
    prefix, dot, last = key.rpartition(".")
    node_type = OmegaConf.get_type(parent)
    fields = getattr(node_type, "__dataclass_fields__", None) or parent
    siblings = sorted(str(name) for name in fields if name != "hydra" and not str(name).startswith("_"))
    close = nearest(last, siblings)
    if close is not None:
        return f"unknown key '{key}': did you mean '{prefix}{dot}{close}'?"
    places = [path for path in _paths(parent._get_root()) if path.rpartition(".")[2] == last and path != key]
    if places:
        return f"unknown key '{key}': did you mean '{places[0]}'?"
    return f"unknown key '{key}' (known: {', '.join(siblings) or 'none'})"


def _paths(node: object, prefix: str = "") -> Iterable[str]:
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or node._is_interpolation():
        return
    for name in map(str, node):
        if name != "hydra":
            yield f"{prefix}{name}"
            yield from _paths(node._get_node(name), f"{prefix}{name}.")


def _wrong_type(error: ValidationError) -> str:
    key, text = error.full_key, str(error).split("\n    full_key", 1)[0]
    if found := _CONVERSION.search(text):
        return f"{key}: expected {_KINDS.get(found['kind'], found['kind'])}, got '{found['value']}'"
    if found := _INCOMPATIBLE.search(text):
        names = re.findall(r"int|float|bool|str", found["hint"])
        kinds = dict.fromkeys(
            "a number" if "float" in names and n in ("int", "float") else _KINDS[n] for n in names
        )
        return f"{key}: expected {' or '.join(kinds) or found['hint']}, got '{found['value']}'"
    if found := _NOT_BOOL.search(text):
        return f"{key}: expected true or false, got '{found['value']}'"
    if "not Optional" in text or "cannot be assigned None" in text:
        return f"{key}: expected a value, got null"
    if found := _NOT_A_NODE.search(text):
        key = key or found["type"]  # a root key is not told
        return f"{key}: expected a node of further keys, got {found['kind']} {found['value']}"
    return f"{key}: {' '.join(text.split())}"
