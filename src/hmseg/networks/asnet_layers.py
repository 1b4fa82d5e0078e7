"""ASNet's attentive squeeze: attention of every query position over the support plane, which it shrinks.

REFERENCE section 5; Kang, Cho: "Integrative Few-Shot Learning for Classification and Segmentation",
CVPR 2022, section 4. Below, N is the batch (times shots), t the query plane flattened to one axis, and
h x w the support plane. Parameters bear the published names and shapes: convolutions are 3-D with a kernel
of 1 along t.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hmseg.exporting import is_exporting
from hmseg.masking import resize_mask
from hmseg.networks.group_norm import GroupNorm

GROUPS = 4
"""Of every GroupNorm."""

HEADS = 8
"""Of the attention."""


def masked_attention(query: Tensor, key: Tensor, value: Tensor, support_masks: Tensor) -> Tensor:
    """Attention over the support plane, at every query position by itself; similarities are not scaled.

    Only support positions where the resized mask is above zero take part. Where the mask leaves none, all
    take part alike: so it comes out in the published code, which overwrites similarities by -1e9. Here
    nothing has to hold such a number, so that half precision gives the same.

    Args:
        query: (N, g, c, t, h', w'), g heads of c channels each.
        key: (N, g, c, t, h, w).
        value: like ``key``.
        support_masks: (N, H, W), 0 or 1, of any size.

    Returns:
        (N, g, c, t, h', w').
    """
    allowed = resize_mask(support_masks, (key.shape[-2], key.shape[-1])).flatten(1) != 0  # (N, h*w)
    none = ~allowed.any(dim=1, keepdim=True)
    query = query.masked_fill(none[:, :, None, None, None, None], 0)  # equal similarities: a plain mean
    mixed = _attend(query.flatten(-2), key.flatten(-2), value.flatten(-2), allowed | none)
    return mixed.view(query.shape)


def _attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    """(N, g, c, t, l) and twice (N, g, c, t, m), with ``allowed`` (N, m) bool -> (N, g, c, t, l)."""
    if query.device.type != "cpu" or is_exporting():
        return _attend_stepwise(query, key, value, allowed)
    # The fused kernel keeps no similarities: a third of the time on a CPU. GPU kernels take too few "heads".
    n, g, _, t, length = query.shape
    q, k, v = (x.permute(0, 1, 3, 4, 2).flatten(1, 2) for x in (query, key, value))  # (N, g*t, l or m, c)
    mask = allowed[:, None, None].expand(-1, -1, length, -1)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    return mixed.view(n, g, t, length, -1).permute(0, 1, 4, 2, 3)


def _attend_stepwise(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    """The same as :func:`_attend`, with the similarities (N, g, t, l, m) in memory."""
    similarity = query.permute(0, 1, 3, 4, 2) @ key.permute(0, 1, 3, 2, 4)
    weights = similarity.masked_fill(~allowed[:, None, None, None], float("-inf")).softmax(dim=-1)
    return (weights @ value.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)


def _by_head(x: Tensor) -> Tensor:
    """(N, g * c, t, h, w) -> (N, g, c, t, h, w)."""
    return x.view(x.shape[0], HEADS, -1, *x.shape[2:])


class SupportAttention(nn.Module):
    """Strided attention over the support plane, with a shortcut; arguments of `AttentiveSqueezeLayer`."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, pool_kv: bool
    ) -> None:
        super().__init__()
        hidden = out_channels // 2
        padding = kernel_size // 2 if kernel_size > 2 else 0
        strided = {
            "kernel_size": (1, kernel_size, kernel_size),
            "stride": (1, stride, stride),
            "padding": (0, padding, padding),
        }
        kept = in_channels == out_channels and kernel_size == stride == 1
        self.short_cut = (
            nn.Identity()
            if kept
            else nn.Sequential(
                nn.Conv3d(in_channels, out_channels, **strided, bias=False),  # type: ignore[arg-type]
                GroupNorm(GROUPS, out_channels),
                nn.ReLU(inplace=True),
            )
        )
        pooled = strided if pool_kv else {"kernel_size": (1, 1, 1)}
        self.qhead = nn.Conv3d(in_channels, hidden, **strided)  # type: ignore[arg-type]
        self.khead = nn.Conv3d(in_channels, hidden, **pooled)  # type: ignore[arg-type]
        self.vhead = nn.Conv3d(in_channels, hidden, **pooled)  # type: ignore[arg-type]
        self.agg = nn.Sequential(
            GroupNorm(GROUPS, hidden),
            nn.ReLU(inplace=True),
            nn.Conv3d(hidden, out_channels, 1, bias=False),
            GroupNorm(GROUPS, out_channels),
            nn.ReLU(inplace=True),
        )
        self.out_norm = GroupNorm(GROUPS, out_channels)

    def forward(self, x: Tensor, support_masks: Tensor) -> Tensor:
        """(N, C, t, h, w) and (N, H, W) -> (N, C', t, h', w')."""
        query, key, value = (_by_head(head(x)) for head in (self.qhead, self.khead, self.vhead))
        mixed = masked_attention(query, key, value, support_masks).flatten(1, 2)
        return self.out_norm(self.agg(mixed) + self.short_cut(x))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two 1x1 convolutions, added to their input and normalised."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ff = nn.Sequential(
            nn.Conv3d(channels, channels // 2, 1, bias=False),
            GroupNorm(GROUPS, channels // 2),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels // 2, channels, 1, bias=False),
        )
        self.out_norm = GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, t, h, w) -> the same shape."""
        return self.out_norm(self.ff(x) + x)  # type: ignore[no-any-return]


class AttentiveSqueezeLayer(nn.Module):
    """Attention over the support plane that shrinks it, then a feed-forward.

    Padding is ``kernel_size // 2``, and 0 for kernels 1 and 2.

    Args:
        in_channels: channels in.
        out_channels: channels out, a multiple of 16; half of them are shared out among the 8 heads.
        kernel_size: side of the kernels over the support plane of the queries and the shortcut.
        stride: their stride.
        pool_kv: the same kernel and stride for keys and values too, which else see every position as it is.

    Example:
        >>> import torch
        >>> layer = AttentiveSqueezeLayer(3, 32, kernel_size=5, stride=4)
        >>> layer(torch.rand(1, 3, 6, 9, 13), torch.ones(1, 64, 64)).shape
        torch.Size([1, 32, 6, 3, 4])
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, pool_kv: bool = False
    ) -> None:
        super().__init__()
        self.attn = SupportAttention(in_channels, out_channels, kernel_size, stride, pool_kv)
        self.ff = FeedForward(out_channels)

    def forward(self, x: Tensor, support_masks: Tensor) -> Tensor:
        """(N, C, t, h, w) and (N, H, W) -> (N, C', t, h', w')."""
        return self.ff(self.attn(x, support_masks))  # type: ignore[no-any-return]
