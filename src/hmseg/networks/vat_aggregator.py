"""What VAT learns: encoders and 4-D transformers of the correlations, and a decoder with 2-D transformers.

REFERENCE section 6; Hong, Cho, Nam, Lin, Kim: "Cost Aggregation with 4D Convolutional Swin Transformer for
Few-Shot Segmentation", ECCV 2022. Modules are nested and named as published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hmseg.exporting import repeat_rows
from hmseg.networks.layers import Upsample2x, resize_query_plane
from hmseg.networks.vat_layers import AddTransformed, Encoder4d, Swin2d, Swin4d

CHANNELS = 128
"""Of every level's correlation after its encoder."""


class Level(NamedTuple):
    """Encoder of one level of correlations, and depth of its transformer."""

    level: int
    channels: tuple[int, ...]
    strides: tuple[tuple[int, int], ...]  # over the query and the support plane
    groups: tuple[int, ...]
    depth: int


LEVELS = (
    Level(4, (64, CHANNELS), ((2, 1), (1, 2)), (4, 8), depth=4),
    Level(3, (64, CHANNELS), ((2, 2), (1, 2)), (4, 8), depth=2),
    Level(2, (32, 64, CHANNELS), ((2, 2), (1, 2), (1, 2)), (2, 4, 8), depth=2),
)


class Stage(NamedTuple):
    """One stage of the decoder: channels that come in, of the projected query feature, and that go out."""

    level: int  # of the query feature, and of the grid
    channels: int
    projected: int
    out: int | None


STAGES = (Stage(3, CHANNELS, 64, 96), Stage(2, 96, 32, 48), Stage(1, 48, 16, None))


class Aggregator(nn.Module):
    """All that VAT learns: encoders and transformers of the correlations, and the decoder.

    Args:
        maps: how many maps each level has.
        channels: of each level's last map.
        affinity: whether each stage of the decoder sees query features, coarse to fine.
        sides: of each level's grid.
    """

    def __init__(
        self,
        maps: Mapping[int, int],
        channels: Mapping[int, int],
        affinity: Sequence[bool],
        sides: Mapping[int, int],
    ) -> None:
        super().__init__()
        self.affinity = tuple(affinity)
        self.encoders = nn.ModuleList(
            Encoder4d(maps[each.level], each.channels, each.strides, each.groups) for each in LEVELS
        )
        support = [sides[1] // 16] * 2  # where all three encoders end
        self.transformer = nn.ModuleList(
            AddTransformed(Swin4d(CHANNELS, [sides[each.level] // 2] * 2 + support, each.depth))
            for each in LEVELS
        )
        self.proj_query_feat = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels[stage.level], stage.projected, 1), nn.ReLU()) for stage in STAGES
        )
        widths = [s.channels + s.projected * seen for s, seen in zip(STAGES, self.affinity, strict=True)]
        self.swin_decoder = nn.ModuleList(
            decoder_stage(width, sides[stage.level], stage.out)
            for width, stage in zip(widths, STAGES, strict=True)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(widths[-1], 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 2, 3, padding=1)
        )
        self.dropout = nn.Dropout2d(0.5)
        self.upsample = Upsample2x()
        for projection, seen in zip(self.proj_query_feat, self.affinity, strict=True):
            projection.requires_grad_(seen)

    def forward(self, correlations: Iterable[Iterable[Tensor]], query: Mapping[int, Tensor]) -> Tensor:
        """Logits.

        Args:
            correlations: maps of level 4, of 3 and of 2, (B * K, h, h, h, h) with h the side of the level.
            query: the last map (B, C, h, h) of levels 3, 2 and 1.

        Returns:
            (B * K, 2, side, side).
        """
        return self._decode(self._aggregate(correlations), query)

    def _aggregate(self, correlations: Iterable[Iterable[Tensor]]) -> Tensor:
        """Deep to shallow, then the mean over the support plane: (B * K, 128, side / 4, side / 4)."""
        deeper: Tensor | None = None
        layers = zip(self.encoders, self.transformer, strict=True)
        for maps, (encoder, transformer) in zip(correlations, layers, strict=True):
            x = encoder(maps)
            if deeper is not None:
                x = x + resize_query_plane(deeper, (x.shape[2], x.shape[3]))
            deeper = transformer(x)
        assert deeper is not None  # there are three levels
        return deeper.mean(dim=(-2, -1))

    def _decode(self, x: Tensor, query: Mapping[int, Tensor]) -> Tensor:
        stages = zip(STAGES, self.affinity, self.swin_decoder, strict=True)
        for index, (stage, seen, decoder) in enumerate(stages):
            if index > 0:
                x = self.upsample(x)
            if seen:
                x = torch.cat((x, self._query_feature(index, query[stage.level], x.shape[0])), dim=1)
            x = decoder(x)
        return self.decoder(x)  # type: ignore[no-any-return]

    def _query_feature(self, index: int, query: Tensor, rows: int) -> Tensor:
        """A query's projected feature for each of its shots, (B * K, projected, h, h).

        While training, half the channels of the first two are dropped, by a draw of its own for each shot,
        as K passes with one shot would do.
        """
        feature = repeat_rows(self.proj_query_feat[index](query), rows // query.shape[0])
        return self.dropout(feature) if index < 2 else feature


def decoder_stage(channels: int, side: int, out: int | None) -> nn.Sequential:
    """x + 2-D Swin(x), then a 1x1 convolution where the channels change after it."""
    stage = nn.Sequential(AddTransformed(Swin2d(channels, (side, side))))
    if out is not None:
        stage.append(nn.Conv2d(channels, out, 1))
    return stage
