"""How much a query's best part looks like the object: whether it is there at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hmseg.backbones.efficientnet_lite import EfficientNetLiteBackbone
from hmseg.errors import ConfigError
from hmseg.networks import FewShotNetwork
from hmseg.networks.fewshot import Levels
from hmseg.networks.kept import KeptSupport
from hmseg.networks.layers import resize

MAPS = 3
"""Of the deepest level that are compared, the last ones: what a thing is, is seen there."""
SHARE = 0.01
"""Of the image, where the score is highest: the object may be as small as that."""
LEAST, ANY = 0.22, -1.0
"""Of presence: with the bundled EfficientNet-Lite2, what nine in ten VOC photos with the object reach, of 300
of training classes; with other backbones, whose cosines nobody has looked at, every class is looked for."""


def least_presence(network: FewShotNetwork, given: float | None) -> float:
    """Return what is given, or else what suits the network's backbone.

    Raises:
        ConfigError: no cosine.
    """
    if given is not None and not -1 <= given <= 1:
        raise ConfigError(f"presence={given:g}: a cosine was expected, -1 to 1")
    backbone = network.backbone
    known = isinstance(backbone, EfficientNetLiteBackbone) and backbone.weights_origin == "bundled"
    return (LEAST if known else ANY) if given is None else given


def presence(
    network: FewShotNetwork, query: Levels, kept: Sequence[KeptSupport], logits: Tensor
) -> list[float]:
    """Return how present a class is in each query: a mean cosine in [-1, 1].

    A network's own scores say where an object would be, not whether there is one: they are relative to the
    image. So the features at the positions of the highest scores are held against the supports' mean feature
    under their masks, each by its mask's size. Masks so small that they leave nothing of the deepest maps
    tell nothing: 1 then, so that the class is looked for.

    Args:
        network: that encoded both.
        query: of :meth:`FewShotNetwork.encode_query`, maps (B, C, h, w) by level.
        kept: K supports of the class.
        logits: (B, K, 2, H, W), or (B, 1, 2, H, W).
    """
    level = max(level for level in network.head.levels if level not in network.head.query_only)
    chosen = range(max(0, len(query[level]) - MAPS), len(query[level]))
    size = (logits.shape[-2], logits.shape[-1])
    cosines = []
    for index in chosen:
        mean = torch.cat([each.levels[level][index].sum(dim=(2, 3)) for each in kept]).sum(dim=0)
        if not mean.any():
            return [1.0] * len(logits)
        map_ = F.normalize(query[level][index].float(), dim=1)
        cosines.append(torch.einsum("c,bchw->bhw", F.normalize(mean.float(), dim=0), map_))
    likeness = resize(torch.stack(cosines).mean(dim=0)[:, None], size).flatten(1)  # (B, H * W)
    margin = (logits[:, :, 1] - logits[:, :, 0]).float().mean(dim=1).flatten(1)
    best = margin.topk(max(1, round(SHARE * margin.shape[1])), dim=1).indices
    return [float(each) for each in likeness.gather(1, best).mean(dim=1)]
