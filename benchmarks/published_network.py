"""The plain baseline to compare with: a few-shot network computed step by step as the published code does.

Query, support and masked support pass the backbone one after the other; the whole network runs once per
shot; every map is cloned; correlations are made map by map, stacked and copied into place. Written anew from
REFERENCE; nothing is left out that costs time there, and nothing added. It takes the modules of one of our
networks and so has the same weights under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy

import torch
from published_asnet import asnet_head
from published_hsnet import hsnet_head
from published_vat import to_grid, vat_head
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hmseg.backbones import Backbone, MobileNetV2Backbone, ResNetBackbone, VGG16Backbone
from hmseg.masking import FeatureMasking, HybridMasking, InputMasking, NoMasking
from hmseg.networks import ASNetHead, FewShotNetwork, HSNetHead, VATHead

Maps = dict[int, list[Tensor]]
"""By pyramid level, shallow to deep within each."""

EPS = 1e-5
POOLED_WIDTH = 50  # ASNet: support maps at least this wide are pooled
MASKINGS = (NoMasking, FeatureMasking, InputMasking, HybridMasking)
HEADS: Mapping[type, Callable[..., Tensor]] = {
    HSNetHead: hsnet_head,
    ASNetHead: asnet_head,
    VATHead: vat_head,
}


class PublishedNetwork(nn.Module):
    """A copy of a network, with its names, that computes as the published code does.

    Args:
        network: one of ours, with a published masking (no options changed).
        copy: leave it as it is; else its modules are taken and their memory laid out anew.
    """

    def __init__(self, network: FewShotNetwork, copy: bool = True) -> None:
        super().__init__()
        if repr(network.masking) not in [repr(kind()) for kind in MASKINGS]:
            raise ValueError(f"the published code has no {network.masking}: take a masking without options")
        own = (deepcopy(network) if copy else network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.backbone, self.head, self.masking = own.backbone, own.head, own.masking

    def forward(self, query: Tensor, support: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, 2, H, W) for one support: (B, 3, H, W), (B, 3, H, W) and (B, H, W) float."""
        with torch.no_grad():
            query_maps = self.extract(query)
            support_maps = self.masked_maps(support, mask.clone())
            if isinstance(self.head, VATHead):
                query_maps = to_grid(query_maps, self.head.sides)
            pyramid = {
                level: correlations(query_maps[level], support_maps[level]) for level in sorted(support_maps)
            }
        logits = HEADS[type(self.head)](self.head, pyramid, query_maps, mask)
        return F.interpolate(logits, query.shape[2:], mode="bilinear", align_corners=True)

    def predict(self, query: Tensor, supports: Tensor, masks: Tensor) -> Tensor:
        """The K-shot vote (B, H, W) float, 0 or 1: the network once per support."""
        votes: Tensor | int = 0
        for shot in range(supports.shape[1]):
            votes = votes + self(query, supports[:, shot], masks[:, shot]).argmax(dim=1).clone()
        assert isinstance(votes, Tensor)
        most = votes.view(len(votes), -1).max(dim=1)[0]
        most = torch.stack([most, torch.ones_like(most)]).max(dim=0)[0].view(-1, 1, 1)
        return (votes.float() / most >= 0.5).float()

    def masked_maps(self, support: Tensor, mask: Tensor) -> Maps:
        """Support maps as the head takes them, each variant by a backbone pass of its own."""
        plain = masked = None
        if not isinstance(self.masking, InputMasking):
            plain = self.prepared(self.extract(support))
        if isinstance(self.masking, InputMasking | HybridMasking):
            masked = self.prepared(self.extract(support * mask[:, None]))
        if plain is not None and isinstance(self.masking, FeatureMasking | HybridMasking):
            plain = {level: [times_mask(each, mask) for each in maps] for level, maps in plain.items()}
        if plain is None or masked is None:
            merged = plain or masked
            assert merged is not None
        else:
            merged = {
                level: [torch.where(a > 0, a, b) for a, b in zip(plain[level], masked[level], strict=True)]
                for level in plain
            }
        if isinstance(self.head, VATHead):
            merged = to_grid({level: maps for level, maps in merged.items() if level > 1}, self.head.sides)
        return merged

    def prepared(self, maps: Maps) -> Maps:
        """What the published models do to support maps before they are masked (REFERENCE 1 and 2)."""
        if isinstance(self.head, ASNetHead):
            return {
                level: [F.avg_pool2d(x, 3, 2, 1) if x.shape[-1] >= POOLED_WIDTH else x for x in each]
                for level, each in maps.items()
            }
        if isinstance(self.head, VATHead) and not isinstance(self.masking, HybridMasking):
            return to_grid(maps, self.head.sides)
        return maps

    def extract(self, images: Tensor) -> Maps:
        """A clone of every map of the head's levels."""
        maps: Maps = {level: [] for level in self.head.levels}
        for info, each in zip(self.backbone.feature_info, extracted(self.backbone, images), strict=True):
            if info.level in maps:
                maps[info.level].append(each.clone())
        return maps


def times_mask(features: Tensor, mask: Tensor) -> Tensor:
    """Feature masking of one map."""
    resized = F.interpolate(mask[:, None].float(), features.shape[2:], mode="bilinear", align_corners=True)
    return features * resized


def correlations(query: list[Tensor], support: list[Tensor]) -> Tensor:
    """The maps of one level: each correlated, then stacked and copied into place, (B, L, hq, wq, hs, ws)."""
    found = []
    for q, s in zip(query, support, strict=True):
        hq, wq, hs, ws = *q.shape[2:], *s.shape[2:]
        s = s.reshape(*s.shape[:2], -1)
        s = s / (s.norm(dim=1, p=2, keepdim=True) + EPS)
        q = q.reshape(*q.shape[:2], -1)
        q = q / (q.norm(dim=1, p=2, keepdim=True) + EPS)
        similarity = torch.bmm(q.transpose(1, 2), s).view(-1, hq, wq, hs, ws)
        found.append(similarity.clamp(min=0))
    return torch.stack(found).transpose(0, 1).contiguous()


def extracted(backbone: Backbone, images: Tensor) -> Iterator[Tensor]:
    """The maps of a backbone, module by module."""
    if isinstance(backbone, ResNetBackbone):
        return _resnet(backbone, images)
    if isinstance(backbone, VGG16Backbone):
        return _sequential(backbone.features, backbone.taken, images)
    if isinstance(backbone, MobileNetV2Backbone):
        return _sequential(backbone.features, backbone.taken, images)
    return backbone.maps(images)  # nothing was published on others


def _resnet(net: ResNetBackbone, images: Tensor) -> Iterator[Tensor]:
    x = net.maxpool(F.relu(net.bn1(net.conv1(images)), inplace=True))
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        for block in layer:
            shortcut = x
            x = F.relu(block.bn1(block.conv1(x)), inplace=True)
            x = F.relu(block.bn2(block.conv2(x)), inplace=True)
            x = block.bn3(block.conv3(x))
            if block.downsample is not None:
                shortcut = block.downsample(shortcut)
            x += shortcut
            if layer is not net.layer1 or block is layer[-1]:
                yield x  # cloned by the caller, before the ReLU in place
            x = F.relu(x, inplace=True)


def _sequential(modules: nn.Module, taken: Mapping[int, int], images: Tensor) -> Iterator[Tensor]:
    x = images
    for index, module in enumerate(modules.children()):
        x = module(x)
        if index in taken:
            yield x
