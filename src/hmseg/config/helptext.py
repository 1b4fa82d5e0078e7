"""The page that ``--help`` prints: usage, groups, keys with their values, examples."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, Node, OmegaConf

from hmseg.config.composer import Composer, conf_dir

_FLAGS = (
    ("-m, --multirun", "run every combination: -m fold=0,1,2,3 shot=1,5"),
    ("-c, --cfg job", "print the composed configuration instead of running (-p NODE: only that part)"),
    (
        "-cd, --config-dir DIR",
        "a folder with options of your own: DIR/backbone/mine.yaml, then backbone=mine",
    ),
    ("hydra.run.dir=DIR", "where the run is written"),
    (
        "hydra/launcher=NAME",
        "where jobs of -m run: sequential, joblib, submitit_local, submitit_slurm",
    ),
    ("hydra/sweeper=optuna", "-m searches instead: 'optimizer.lr=tag(log,interval(1e-4,1e-2))'"),
    ("--hydra-help", "Hydra's own flags"),
)


def help_page(
    composer: Composer, cfg: DictConfig, config_name: str, program: str, purpose: str, examples: Sequence[str]
) -> str:
    """The help of an entry point.

    Args:
        composer: knows the options of each group.
        cfg: the default configuration; its values are shown.
        config_name: ``train`` or ``evaluate``.
        program: as typed, such as ``python -m hmseg.train``.
        purpose: one line.
        examples: settings to type after the program's name.
    """
    chosen = _defaults(config_name)
    parts = [
        f"{purpose}\n",
        f"Usage: {program} [key=value …] [flags]\n",
    ]
    if chosen:
        parts += ["Groups (group=option; the default is in brackets):", *_groups(composer, chosen), ""]
    parts += ["Keys (key=value; the default is in brackets):", *_keys(cfg, "")]
    for name in (name for name in ("loader", "trainer", "paths") if name in cfg):
        parts += [f"\nKeys of {name} ({name}.key=value):", *_keys(cfg[name], f"{name}.")]
    if chosen:
        parts += ["\nKeys of the chosen options (group.key=value):", *_chosen_keys(cfg, chosen)]
    parts += ["\nExamples:", *(f"  {program} {example}".rstrip() for example in examples)]
    parts += ["\nFlags:", *(f"  {flag:<23} {text}" for flag, text in _FLAGS)]
    return "\n".join(parts)


def _defaults(config_name: str) -> dict[str, str | None]:
    """The chosen option of each group, from the defaults list."""
    text = (conf_dir() / f"{config_name}.yaml").read_text(encoding="utf-8")
    entries = [entry for entry in yaml.safe_load(text)["defaults"] if isinstance(entry, dict)]
    chosen = {
        group.removeprefix("optional "): option
        for entry in entries
        for group, option in entry.items()
        if "hydra" not in group
    }
    for group, option in chosen.items():  # ${model} and the like: options that follow other groups
        if option is not None and "$" in option:
            chosen[group] = re.sub(r"\$\{(\w+)\}", lambda found: str(chosen[found[1]]), option)
    return chosen


def _groups(composer: Composer, chosen: dict[str, str | None]) -> Iterable[str]:
    for group, default in chosen.items():
        options = [name for name in composer.options(group) if name != "checkpoint"]
        if default == "checkpoint":
            options.insert(0, "checkpoint")
        shown = [f"[{name}]" if name == default else name for name in options]
        yield from _item(group, ", ".join(shown), 12)


def _keys(cfg: DictConfig, prefix: str) -> Iterable[str]:
    """Keys with a help text; nodes and groups have none."""
    schema = OmegaConf.get_type(cfg)
    if schema is None or not dataclasses.is_dataclass(schema):
        return
    for field in dataclasses.fields(schema):
        if "help" not in field.metadata:
            continue
        node = cfg._get_node(field.name)
        value = "required" if OmegaConf.is_missing(cfg, field.name) else show(node)
        yield from _item(f"{prefix}{field.name}", f"{field.metadata['help']} [{value}]", 32)


def _chosen_keys(cfg: DictConfig, chosen: dict[str, str | None]) -> Iterable[str]:
    for group in chosen:
        if (
            group in ("trainer", "paths", "experiment")
            or group not in cfg
            or OmegaConf.is_missing(cfg, group)
            or cfg[group] is None
        ):
            continue
        leaves = [text for text in _leaves(cfg[group]) if text]
        if leaves:
            yield from _item(group, ", ".join(leaves), 12)


def _leaves(node: DictConfig, prefix: str = "") -> Iterable[str]:
    for name in map(str, node):
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_interpolation() and not child._is_none():
            yield from _leaves(child, f"{prefix}{name}.")
        elif not name.startswith("_"):
            yield f"{prefix}{name}={show(child)}"


def show(node: Any) -> str:
    """A value as it is typed on the command line; interpolations stay."""
    if OmegaConf.is_list(node):
        return str(OmegaConf.to_container(node, resolve=False)).replace(" ", "")
    while isinstance(node, Node):  # a union's node holds another one
        node = node._value()
    if node is None or isinstance(node, bool):
        return {None: "null", True: "true", False: "false"}[node]
    return str(node) or '""'


def _item(name: str, text: str, width: int) -> list[str]:
    lead, rest = f"  {name:<{width}} ", " " * (width + 3)
    return textwrap.wrap(
        text, 110, initial_indent=lead, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
