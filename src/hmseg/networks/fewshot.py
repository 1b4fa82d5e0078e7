"""The few-shot network: a frozen backbone, a masking and a head, put together and checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hmseg.backbones import Backbone, FeatureInfo
from hmseg.errors import ConfigError
from hmseg.exporting import is_exporting
from hmseg.feature_store import FeatureStore
from hmseg.masking import Masking, Variant
from hmseg.networks.chunks import chunks
from hmseg.networks.layers import resize
from hmseg.networks.shots import join, join_levels, vote

Levels = Mapping[int, Sequence[Tensor]]
"""Maps (N, C, h, w) by pyramid level, shallow to deep within each."""

PASS_PIXELS = 64 * 400 * 400
"""Most image pixels in one backbone pass: 64 images of 400 x 400, about 2.5 GB of ResNet-50 maps."""

CPU_PASS_PIXELS = 400 * 400
"""As `PASS_PIXELS`, on a CPU, which gains nothing from more: one image of 400 x 400."""

HEAD_PIXELS = {"cpu": 400 * 400, "gpu": 16 * 400 * 400}
"""Most support pixels that go through the network at once where no gradient is wanted: 1 and 16 images of
400 x 400. What a support takes for the moment (HSNet: up to 0.3 GB) is then taken once, however many shots
there are, and a CPU is no slower for it."""


class Head(nn.Module, ABC):
    """The learned part: from query features and masked support features to logits.

    Attributes:
        levels: the pyramid levels that it takes, deepest first.
        query_only: those of them whose support maps it never looks at; they are not made.
        published_prefix: what its parameters' names begin with in published checkpoints.
        sees_masks: whether it looks at the support masks itself, beside the masked maps.
        plain_levels: the levels of which it wants the unmasked support maps too, behind the masked ones.
        joins_shots: whether supports may be joined into one wide one; not where the head has a fixed grid.
    """

    levels: tuple[int, ...]
    query_only: frozenset[int] = frozenset()
    published_prefix: str = "hpn_learner."
    sees_masks: bool = True
    plain_levels: frozenset[int] = frozenset()
    joins_shots: bool = True

    def before_masking(self, support: Tensor, level: int, masking: Masking) -> Tensor:
        """What the published model does to a support map before it is masked: nothing, by default.

        Called for each of the masking's variants.

        Args:
            support: (B * K, C, h, w).
            level: its pyramid level.
            masking: the strategy that comes next.
        """
        return support

    def join(self, support: Levels, support_masks: Tensor, shots: int) -> tuple[Levels, Tensor]:
        """Put the K supports of an image side by side, as one wide support; arguments as for `forward`."""
        return join_levels(support, shots), join(support_masks, shots)

    @abstractmethod
    def forward(self, query: Levels, support: Levels, support_masks: Tensor) -> Tensor:
        """Logits (B * K, 2, h, w), at whatever resolution the head ends.

        Args:
            query: for each level, maps (B, C, h, w).
            support: for each level, masked maps (B * K, C, h, w), the shots of an image next to each other;
                of its `plain_levels` as many unmasked maps of the same images follow.
            support_masks: (B * K, H, W) float, 0 or 1.
        """


class FewShotNetwork(nn.Module):
    """Segment the query by what the supports show.

    Query and all variants of the supports that the masking asks for go through the backbone together where
    ``pass_pixels`` allows, else each by itself; query features serve all shots; shots are folded into the
    batch of the head. Without gradients supports go through in groups (`HEAD_PIXELS`), so that memory does
    not grow with the shots; the result is the same.

    Args:
        backbone: frozen feature pyramid.
        masking: strategy for the support features.
        head: head built for the backbone's maps.
        pass_pixels: most image pixels in one backbone pass; lower it when memory is short.
        store: where the backbone's maps are kept between episodes and runs; None: they are made each time.
        join_shots: give the head the K supports of an image as one support K times as wide, so that one
            squeeze sees them all; published: each on its own. Kernels reach across the seams. For one shot it
            changes nothing.
        recompute: with gradients, let so many supports through the head at a time, and make each group's
            activations again in the backward pass: memory of one group instead of the batch, for one more
            pass of the head. None: keep them all.

    Raises:
        ValueError: the backbone lacks a level that the head takes.
        ConfigError: ``join_shots`` with a head of a fixed grid (VAT).
    """

    def __init__(
        self,
        backbone: Backbone,
        masking: Masking,
        head: Head,
        pass_pixels: int = PASS_PIXELS,
        store: FeatureStore | None = None,
        join_shots: bool = False,
        recompute: int | None = None,
    ) -> None:
        super().__init__()
        offered = {info.level for info in backbone.feature_info}
        if missing := set(head.levels) - offered:
            raise ValueError(
                f"{type(head).__name__} takes levels {sorted(head.levels)}, but {type(backbone).__name__} "
                f"offers {sorted(offered)}: level {sorted(missing)} is missing"
            )
        if join_shots and not head.joins_shots:
            raise ConfigError(
                f"{type(head).__name__} resizes supports to a fixed grid, so several can't be joined into a "
                "wide one: give another aggregation than concat"
            )
        self.backbone = backbone
        self.masking = masking
        self.head = head
        self.pass_pixels = pass_pixels
        self.store = store
        self.join_shots = join_shots
        self.recompute = recompute

    def forward(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """Logits of the query, one set per support; one for all supports with ``join_shots``.

        Args:
            query: (B, 3, H, W) normalised images.
            support_images: (B, K, 3, H, W) normalised images; their size may differ from the query's.
            support_masks: (B, K, H, W) bool, or numbers 0 and 1.

        Returns:
            (B, K, 2, H, W), or (B, 1, 2, H, W) with ``join_shots``: background and foreground, at the
            query's size.

        Raises:
            ValueError: shapes that don't fit each other, or masks with other values.
        """
        check_shapes(query, support_images, support_masks)
        batch, shots = support_masks.shape[:2]
        supports = support_images.flatten(0, 1)
        masks = support_masks.flatten(0, 1).to(query.dtype)  # (B*K, H, W)
        at_once = self.supports_at_once(masks)
        if self.join_shots:
            at_once = max(shots, at_once)  # those of one image stay together
        parts: list[Tensor] = []
        query_maps: Levels | None = None
        encoded: slice | None = None
        for of_query, of_support in chunks(batch, shots, at_once):
            known = query_maps if encoded == of_query else None
            shown = masks[of_support]
            query_maps, support_maps = self.encode(query[of_query], supports[of_support], shown, known)
            encoded = of_query
            if self.join_shots:
                support_maps, shown = self.head.join(support_maps, shown, shots)
            parts.append(self._logits(query_maps, support_maps, shown))
            del support_maps  # before the next ones are made
        logits = resize(torch.cat(parts), (query.shape[-2], query.shape[-1]))
        if self.join_shots:
            shots = 1
        return logits.reshape(batch, shots, *logits.shape[1:])

    def supports_at_once(self, masks: Tensor) -> int:
        """How many of the masks (N, H, W) go through the head together.

        With gradients all of them or ``recompute``, else as many as `HEAD_PIXELS` allows.
        """
        if torch.is_grad_enabled():
            return len(masks) if self.recompute is None else self.recompute
        most = HEAD_PIXELS.get(masks.device.type, HEAD_PIXELS["gpu"])
        return max(1, most // masks[0].numel())

    def _logits(self, query: Levels, support: Levels, masks: Tensor) -> Tensor:
        """The head's."""
        if self.recompute is None or not torch.is_grad_enabled():
            return self.head(query, support, masks)  # type: ignore[no-any-return]
        return checkpoint(self.head, query, support, masks, use_reentrant=False)  # type: ignore[no-any-return]

    @torch.no_grad()
    def predict(self, query: Tensor, support_images: Tensor, support_masks: Tensor) -> Tensor:
        """The K-shot mask (B, H, W) bool by :func:`vote`; arguments as for :meth:`forward`."""
        return vote(self(query, support_images, support_masks))

    @torch.no_grad()
    def encode(
        self, query: Tensor, supports: Tensor, masks: Tensor, query_levels: Levels | None = None
    ) -> tuple[Levels, Levels]:
        """Query maps and masked support maps by level.

        Args:
            query: (B, 3, H, W).
            supports: (N, 3, H', W').
            masks: (N, H', W') float.
            query_levels: the query's maps by level where they are known already; None: they are made.
        """
        views = self._views(supports, masks)
        if query_levels is None:
            query_maps, *view_maps = self._pyramids([query, *views.values()])
            query_levels = self._by_level(query_maps)
        else:
            view_maps = self._pyramids(list(views.values()))
        by_variant: dict[Variant, list[Tensor]] = dict(zip(views, view_maps, strict=True))
        del view_maps
        return query_levels, self._masked_levels(by_variant, masks)

    @torch.no_grad()
    def encode_query(self, query: Tensor) -> Levels:
        """The maps of queries (B, 3, H, W) by level: one backbone pass, none of a support."""
        return self._by_level(self._pyramids([query])[0])

    @torch.no_grad()
    def encode_supports(self, supports: Tensor, masks: Tensor) -> Levels:
        """Masked maps of supports by level; arguments as for :meth:`encode`. No query is needed for them."""
        views = self._views(supports, masks)
        view_maps = self._pyramids(list(views.values()))
        return self._masked_levels(dict(zip(views, view_maps, strict=True)), masks)

    def _views(self, supports: Tensor, masks: Tensor) -> dict[Variant, Tensor]:
        """The support images that pass the backbone: what the masking asks for, and what the head does."""
        views = self.masking.views(supports, masks)
        return views if not self.head.plain_levels or "plain" in views else {"plain": supports, **views}

    def _masked_levels(
        self, by_variant: Mapping[Variant, list[Tensor]], masks: Tensor
    ) -> dict[int, list[Tensor]]:
        """From the maps of each variant, which are taken out of their lists, to masked maps by level."""
        support_levels: dict[int, list[Tensor]] = {level: [] for level in self.head.levels}
        plain_levels: dict[int, list[Tensor]] = {level: [] for level in self.head.levels}
        for level in self._map_levels():
            features = {variant: maps.pop(0) for variant, maps in by_variant.items()}  # held no longer
            if level not in self.head.query_only:
                support_levels[level].append(self._masked(features, masks, level))
                if level in self.head.plain_levels:
                    plain = self.head.before_masking(features["plain"], level, self.masking)
                    plain_levels[level].append(plain)
        return {level: maps + plain_levels[level] for level, maps in support_levels.items()}

    def _masked(self, features: Mapping[Variant, Tensor], masks: Tensor, level: int) -> Tensor:
        prepared = {
            variant: self.head.before_masking(each, level, self.masking) for variant, each in features.items()
        }
        return self.masking.apply(prepared, masks, level)

    def _pyramids(self, images: Sequence[Tensor]) -> list[list[Tensor]]:
        """The head's maps for each of several image batches, sharing backbone passes where sizes agree."""
        if is_exporting():
            return [self._head_maps(batch) for batch in images]
        if len({batch.shape[1:] for batch in images}) > 1:  # supports of another size than the query
            return [maps for batch in images for maps in self._pyramids_of_one_size([batch])]
        return self._pyramids_of_one_size(images)

    def _pyramids_of_one_size(self, images: Sequence[Tensor]) -> list[list[Tensor]]:
        first, counts = images[0], [len(batch) for batch in images]
        most = self.pass_pixels if first.device.type != "cpu" else min(self.pass_pixels, CPU_PASS_PIXELS)
        per_pass = max(1, most // (first.shape[-2] * first.shape[-1]))
        if len(images) == 1 or sum(counts) > per_pass:  # each by itself, so that each is freed by itself
            return [self._in_passes(batch, per_pass) for batch in images]
        together = self._kept_maps(torch.cat(list(images)))
        split = [torch.split(level_map, counts) for level_map in together]  # views, nothing is copied
        return [[parts[i] for parts in split] for i in range(len(images))]

    def _in_passes(self, images: Tensor, per_pass: int) -> list[Tensor]:
        passes = [self._kept_maps(chunk) for chunk in torch.split(images, per_pass)]
        if len(passes) == 1:
            return passes[0]
        return [torch.cat([maps.pop(0) for maps in passes]) for _ in range(len(passes[0]))]

    def _kept_maps(self, images: Tensor) -> list[Tensor]:
        maps = self._head_maps(images) if self.store is None else self.store.maps(images, self._head_maps)
        return list(maps)

    def _head_maps(self, images: Tensor) -> list[Tensor]:
        maps = self.backbone(images)
        return [
            m
            for m, info in zip(maps, self.backbone.feature_info, strict=True)
            if info.level in self.head.levels
        ]

    def _by_level(self, maps: Sequence[Tensor]) -> dict[int, list[Tensor]]:
        grouped: dict[int, list[Tensor]] = {level: [] for level in self.head.levels}
        for level, level_map in zip(self._map_levels(), maps, strict=True):
            grouped[level].append(level_map)
        return grouped

    def _map_levels(self) -> list[int]:
        """The level of each map that the head takes, in forward order."""
        return [info.level for info in self.backbone.feature_info if info.level in self.head.levels]


def split_plain(support: Levels, plain_levels: frozenset[int]) -> tuple[Levels, Levels]:
    """The masked and the unmasked maps of supports, as a head with `plain_levels` gets them together."""
    masked = {level: len(maps) // (1 + (level in plain_levels)) for level, maps in support.items()}
    return (
        {level: maps[: masked[level]] for level, maps in support.items()},
        {level: maps[masked[level] :] for level, maps in support.items()},
    )


def maps_per_level(features: Sequence[FeatureInfo], levels: Sequence[int]) -> list[int]:
    """How many maps each of ``levels`` has: the channels of its correlations."""
    return [sum(info.level == level for info in features) for level in levels]


def check_shapes(query: Tensor, support_images: Tensor, support_masks: Tensor) -> None:
    """Refuse episodes whose parts don't fit each other.

    Raises:
        ValueError: with the shapes that came and those expected.
    """
    batch = query.shape[0] if query.ndim == 4 else -1
    fits = (
        query.ndim == 4
        and support_images.ndim == 5
        and query.shape[1] == support_images.shape[2] == 3
        and support_images.shape[0] == batch > 0
        and support_images.shape[1] > 0
        and support_masks.shape == support_images.shape[:2] + support_images.shape[3:]
    )
    if not fits:
        raise ValueError(
            "expected query (B, 3, H, W), support_images (B, K, 3, H, W) and support_masks (B, K, H, W); got "
            f"{tuple(query.shape)}, {tuple(support_images.shape)} and {tuple(support_masks.shape)}"
        )
    # Looking at values would make the host wait for a GPU, so masks of numbers are checked on the CPU only.
    looked_at = support_masks.dtype != torch.bool and support_masks.device.type == "cpu"
    if looked_at and not ((support_masks == 0) | (support_masks == 1)).all():
        raise ValueError(
            f"support_masks hold values other than 0 and 1 (largest {support_masks.max().item():g}): "
            "make them boolean first, e.g. mask > 0"
        )
