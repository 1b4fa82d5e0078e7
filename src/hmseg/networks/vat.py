"""VAT's head: aggregate the hypercorrelation with 4-D convolutions and 4-D Swin transformers.

REFERENCE sections 2 and 6; Hong, Cho, Nam, Lin, Kim: "Cost Aggregation with 4D Convolutional Swin Transformer
for Few-Shot Segmentation", ECCV 2022. Parameters and buffers bear the published names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hmseg.backbones import FeatureInfo
from hmseg.correlation import correlate
from hmseg.errors import ConfigError, unknown
from hmseg.exporting import is_exporting
from hmseg.masking import Masking
from hmseg.networks.chunks import chunks
from hmseg.networks.fewshot import Head, Levels, maps_per_level
from hmseg.networks.layers import resize
from hmseg.networks.vat_aggregator import LEVELS, STAGES, Aggregator

AFFINITY: dict[str, tuple[bool, bool, bool]] = {
    "pascal": (False, True, True),
    "coco": (False, False, True),
    "fss": (True, True, True),
}
"""Which stages of the decoder see query features, coarse to fine, as published for each data set."""

SIDE = 128
"""Published side of the grid to which level 1 is resized; each deeper level has half the side before it."""

UNIT = 64
"""A side must be a multiple: 4-D windows have a side of 4, and the support plane ends at side / 16."""

AT_ONCE = {"cpu": 1, "gpu": 8}
"""Most supports aggregated at once where no gradient is wanted: each takes up to 0.7 GB for the moment, and a
CPU gains nothing from more than one."""


class VATHead(Head):
    """The published head, for the maps of any backbone with levels 1 to 4 and images of any size.

    Features are resized to a fixed grid: before they are masked, or after a masking that merges several
    variants of the support (hybrid), which works at the native size. REFERENCE section 2.

    Parameters without influence on the result take no gradient, so that DDP need not look for them: the
    LayerNorms behind the 4-D blocks, and projections of query features that ``affinity`` leaves out. They
    are parameters all the same, because published files hold them.

    Args:
        features: description of the backbone's maps.
        affinity: which of the decoder's three stages see query features: those published for ``pascal``,
            ``coco`` or ``fss``, or three bools, coarse to fine.
        side: of level 1's grid, a multiple of 64. Only 128 is published. The learnable parameters do not
            depend on it: 64 needs a sixteenth of the memory and time.

    Raises:
        ConfigError: an unknown affinity, a side that can't be, or a level that the backbone lacks.
    """

    levels = (4, 3, 2, 1)
    query_only = frozenset({1})
    sees_masks = False
    joins_shots = False  # the grid is square

    def __init__(
        self, features: Sequence[FeatureInfo], affinity: str | Sequence[bool] = "pascal", side: int = SIDE
    ) -> None:
        super().__init__()
        if type(side) is not int or side < UNIT or side % UNIT:
            raise ConfigError(f"VAT's side must be a multiple of {UNIT} (published: {SIDE}); got {side!r}")
        channels = {info.level: info.channels for info in features}  # of the last map of each level
        if missing := set(self.levels) - channels.keys():
            raise ConfigError(
                f"VAT takes maps of levels {sorted(self.levels)}; the backbone lacks {sorted(missing)}"
            )
        maps = dict(zip(self.levels, maps_per_level(features, self.levels), strict=True))
        self.sides = {level: side // 2 ** (level - 1) for level in self.levels}
        self.ours = Aggregator(maps, channels, affinity_flags(affinity), self.sides)

    def before_masking(self, support: Tensor, level: int, masking: Masking) -> Tensor:
        """Resized to the grid, unless the masking merges several variants at this level."""
        return support if masking.merges(level) else self._to_grid(support, level)

    def forward(self, query: Levels, support: Levels, support_masks: Tensor) -> Tensor:
        """Logits (B * K, 2, side, side)."""
        query = {level: [self._to_grid(each, level) for each in query[level]] for level in self.levels}
        if torch.is_grad_enabled() or is_exporting():
            return self._aggregate(query, support)
        batch, rows = len(query[1][0]), len(support_masks)
        at_once = AT_ONCE.get(support_masks.device.type, AT_ONCE["gpu"])
        return torch.cat(
            [
                self._aggregate(_rows(query, of_query), _rows(support, of_support))
                for of_query, of_support in chunks(batch, rows // batch, at_once)
            ]
        )

    def _aggregate(self, query: Levels, support: Levels) -> Tensor:
        correlations = (
            self._correlations(query[each.level], support[each.level], each.level) for each in LEVELS
        )
        return self.ours(correlations, {level: maps[-1] for level, maps in query.items()})  # type: ignore[no-any-return]

    def _correlations(
        self, query: Sequence[Tensor], support: Sequence[Tensor], level: int
    ) -> Iterator[Tensor]:
        """One after the other, (B * K, h, h, h, h): REFERENCE section 3, unstacked."""
        for q, s in zip(query, support, strict=True):
            yield correlate(q, self._to_grid(s, level))

    def _to_grid(self, features: Tensor, level: int) -> Tensor:
        return resize(features, (self.sides[level], self.sides[level]))


def _rows(levels: Levels, rows: slice) -> Levels:
    return {level: [each[rows] for each in maps] for level, maps in levels.items()}


def affinity_flags(affinity: str | Sequence[bool]) -> tuple[bool, ...]:
    """The three flags of an affinity given by name or as flags.

    Raises:
        ConfigError: neither a known name nor three bools.

    Example:
        >>> affinity_flags("coco"), affinity_flags([True, False, False])
        ((False, False, True), (True, False, False))
    """
    if isinstance(affinity, str):
        if affinity not in AFFINITY:
            raise ConfigError(unknown("affinity", affinity, AFFINITY))
        return AFFINITY[affinity]
    given = tuple(affinity) if isinstance(affinity, Sequence) else ()
    flags = tuple(flag for flag in given if isinstance(flag, bool))
    if not len(flags) == len(given) == len(STAGES):
        raise ConfigError(f"VAT's affinity is one of {', '.join(AFFINITY)} or three bools; got {affinity!r}")
    return flags
