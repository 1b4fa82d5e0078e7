"""The folder that a run or a sweep is about to write to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from hmseg.config.composer import Composer
from hmseg.config.runs import quoted
from hmseg.errors import ConfigError
from hmseg.files import new_folder

_CLOCK = "${now:"


class OutputFolder(NamedTuple):
    """Where a run or a sweep writes.

    Attributes:
        key: of the setting.
        path: as configured.
        by_clock: its name is the time of day, which two processes may share.
    """

    key: str
    path: Path
    by_clock: bool

    def taken(self) -> OutputFolder:
        """The folder itself; where its name is the time, one that nobody else has, made now.

        Raises:
            ConfigError: it can't be made.
        """
        if not self.by_clock:
            return self
        try:
            return self._replace(path=new_folder(self.path))
        except OSError as error:
            raise ConfigError(f"{self.key}={self.path}: can't be made ({error.strerror})") from None

    @property
    def override(self) -> str:
        """The word that names it."""
        return f"{self.key}={quoted(self.path)}"


def output_folder(
    composer: Composer, config_name: str, overrides: Sequence[str], multirun: bool
) -> OutputFolder | None:
    """The folder of a run or of a sweep; None for programs that write where a setting of theirs says.

    Args:
        composer: composes.
        config_name: of the program's YAML file.
        overrides: checked ones.
        multirun: whether ``-m`` was given.

    Raises:
        ConfigError: the folder's name can't be resolved.
    """
    parsed = composer.parse(overrides)
    plain = [line for line in (o.input_line for o in parsed if not o.is_sweep_override()) if line]
    cfg = composer.compose(config_name, plain, hydra=True)
    swept = multirun or cfg.hydra.mode == RunMode.MULTIRUN
    if not swept and cfg.hydra.output_subdir is None:
        return None
    part = "sweep" if swept else "run"
    raw = str(OmegaConf.to_container(cfg.hydra[part], resolve=False)["dir"])  # type: ignore[index,call-overload]
    HydraConfig.instance().set_config(cfg)  # for ${hydra:…}
    try:
        path = Path(str(OmegaConf.select(cfg, f"hydra.{part}.dir", throw_on_missing=True)))
    finally:
        HydraConfig.instance().cfg = None
    return OutputFolder(f"hydra.{part}.dir", path, _CLOCK in raw)
