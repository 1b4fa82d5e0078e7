"""The configurations of all jobs of a sweep, so that they can be checked before the first one starts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig

from hmseg.config.composer import Composer
from hmseg.errors import ConfigError

MAX_JOBS = 64
"""Of a larger sweep only so many jobs are looked at: some 30 ms each, 200 ms with another group's option."""


def configurations(
    composer: Composer, config_name: str, overrides: Sequence[str], multirun: bool
) -> Iterable[DictConfig]:
    """The configuration of each job.

    Args:
        composer: composes them.
        config_name: ``train`` or ``evaluate``.
        overrides: as on the command line.
        multirun: whether values may be swept over.

    Raises:
        ConfigError: an override is wrong, or ``resume`` is given in a sweep.
    """
    parsed = composer.parse(overrides)
    if not multirun and not any(o.key_or_group == "hydra.mode" and o.value() == "MULTIRUN" for o in parsed):
        yield composer.compose(config_name, overrides)
        return
    if any(o.key_or_group == "resume" for o in parsed):
        raise ConfigError("resume continues one run and can't be part of a sweep; leave out -m")
    plain = [line for line in (o.input_line for o in parsed if not o.is_sweep_override()) if line]
    sweeper = composer.compose(config_name, plain, hydra=True).hydra.sweeper
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    swept = [o for o in (*composer.parse(params), *parsed) if o.is_sweep_override()]
    if not str(sweeper.get("_target_")).endswith(f".{BasicSweeper.__name__}"):
        yield composer.compose(config_name, plain)  # another sweeper finds its values by itself,
        for word in (word for override in swept for word in _ends(override)):  # among these
            yield composer.compose(config_name, [*plain, word])
        return
    by_group = [o for o in swept if composer.options(o.key_or_group)]
    yield from itertools.islice(_product(composer, config_name, plain, by_group, swept), MAX_JOBS)


def _product(
    composer: Composer, config_name: str, plain: list[str], by_group: list[Override], swept: list[Override]
) -> Iterable[DictConfig]:
    """Options of groups are composed anew; other values change a copy."""
    values = _combinations([o for o in swept if o not in by_group])
    for options in _combinations(by_group):
        base = composer.compose(config_name, [*plain, *options])
        for job in values:
            yield composer.changed(base, job)


def _ends(override: Override) -> list[str]:
    """Values that a search may choose: all of a choice or range, both ends of an interval."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}", f"{key}={value.end}"]
    return [f"{key}={each}" for each in itertools.islice(override.sweep_string_iterator(), MAX_JOBS)]


def _combinations(swept: list[Override]) -> list[list[str]]:
    for override in swept:
        if not override.is_discrete_sweep():
            raise ConfigError(
                f"{override.input_line}: Hydra's own sweeper needs a choice of values, key=a,b,c"
            )
    return [list(job) for batch in BasicSweeper.split_arguments(swept, None) for job in batch]
