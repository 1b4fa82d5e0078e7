"""Composition of a configuration, with every mistake of the user's as one line."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from hmseg.config import schema
from hmseg.config.explain import explain, unknown_option
from hmseg.errors import ConfigError


def conf_dir() -> Path:
    """The folder of the shipped YAML files: inside the package (wheel), else at the top of the checkout.

    Raises:
        ConfigError: it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for path in (package / "conf", package.parents[1] / "conf"):
        if (path / "train.yaml").is_file():
            return path
    raise ConfigError("conf/ is neither in the package nor at the top of the checkout; install hmseg again")


class Composer:
    """Hydra's config loader over the shipped ``conf/`` and, if given, the user's folder before it.

    A context manager; Hydra's global state is cleared at both ends.

    Args:
        config_dir: folder with the main configs, the shipped one by default.
        extra_dir: a user's folder of further options (``--config-dir``).

    Raises:
        ConfigError: a folder does not exist.
    """

    def __init__(self, config_dir: str | Path | None = None, extra_dir: str | None = None) -> None:
        schema.register()
        search_path = create_config_search_path(str(config_dir or conf_dir()))
        if extra_dir is not None:
            folder = os.path.abspath(extra_dir)
            if not os.path.isdir(folder):
                raise ConfigError(f"--config-dir {extra_dir}: there is no such folder")
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        GlobalHydra.instance().clear()
        self._hydra = Hydra.create_main_hydra2("hmseg", search_path)
        self._options: dict[str, list[str]] = {}

    def __enter__(self) -> Composer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        GlobalHydra.instance().clear()

    def groups(self) -> list[str]:
        """The groups of options, without Hydra's own and what W&B's sweep agent reads (``conf/wandb``)."""
        names = self._hydra.config_loader.get_group_options("", ObjectType.GROUP)
        return sorted(name for name in set(names) if name not in ("hydra", "wandb"))

    def options(self, group: str) -> list[str]:
        """The options of a group; empty if there is no such group."""
        if group not in self._options:
            names = self._hydra.config_loader.get_group_options(group, ObjectType.CONFIG)
            self._options[group] = sorted({name for name in names if not name.startswith("_")})
        return self._options[group]

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """The overrides, parsed.

        Raises:
            ConfigError: one can't be read.
        """
        self._check_words(overrides)
        try:
            parser = OverridesParser.create(config_loader=self._hydra.config_loader)
            return parser.parse_overrides(list(overrides))
        except OverrideParseException as error:
            raise ConfigError(explain(error, self.options)) from error

    def compose(self, config_name: str, overrides: Sequence[str] = (), hydra: bool = False) -> DictConfig:
        """Compose, without checking ranges and pairs.

        Args:
            config_name: ``train`` or ``evaluate``.
            overrides: ``key=value`` in Hydra's syntax.
            hydra: keep the ``hydra`` node.

        Raises:
            ConfigError: unknown key or option, wrong type, malformed override.
        """
        self._check_overrides(overrides)
        try:
            cfg = self._hydra.compose_config(config_name, list(overrides), run_mode=RunMode.RUN)
        except Exception as error:  # noqa: BLE001 - Hydra's own, OmegaConf's, PyYAML's or a bare ValueError
            raise ConfigError(explain(error, self.options)) from error
        if not hydra:
            with open_dict(cfg):
                del cfg["hydra"]
        return cfg

    def changed(self, cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """A copy with other values, none of them an option of a group; much faster than composing anew.

        Raises:
            ConfigError: unknown key or wrong type.
        """
        copied = copy.deepcopy(cfg)
        try:
            ConfigLoaderImpl._apply_overrides_to_config(self.parse(overrides), copied)
        except HydraException as error:
            raise ConfigError(explain(error, self.options)) from error
        return copied

    def _check_words(self, words: Sequence[str]) -> None:
        """Words without ``=``: ``fold 2``, or an option without its group."""
        for word, after in zip(words, [*words[1:], "="], strict=False):
            if "=" in word or word.startswith("~"):
                continue
            groups = [group for group in self.groups() if word in self.options(group)]
            meant = [f"{word}={after}"] if "=" not in after else [f"{group}={word}" for group in groups]
            hint = (
                f": did you mean '{meant[0]}'?" if meant else "; settings are written key=value, see --help"
            )
            raise ConfigError(f"'{word}' is not key=value{hint}")

    def _check_overrides(self, overrides: Sequence[str]) -> None:
        """What Hydra reports badly: sweeps without ``-m`` and values that are no options."""
        for override in self.parse(overrides):
            if override.is_sweep_override():
                raise ConfigError(
                    f"{override.input_line}: several values; add -m to run each of them, "
                    "or quote a text that holds commas"
                )
            group = override.key_or_group
            known = self.options(group)
            if not known or override.is_delete() or group.split("/")[0] == "hydra":
                continue
            value = override.value()
            for name in value if isinstance(value, list) else [value]:
                if not isinstance(name, str):
                    given = "null" if name is None else str(name)
                    raise ConfigError(
                        f"{group}: expected the name of an option, got {given} (known: {', '.join(known)})"
                    )
                folder, _, option = name.rpartition("/")
                if option not in self.options(f"{group}/{folder}" if folder else group):
                    raise ConfigError(unknown_option(group, name, known))
