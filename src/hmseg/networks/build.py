"""Networks by name, for Python; the command line injects the same parts from ``conf/``."""

from __future__ import annotations

from typing import Any

from hmseg.backbones import build_backbone
from hmseg.errors import ConfigError, unknown
from hmseg.masking import build_masking
from hmseg.networks.asnet import ASNetHead
from hmseg.networks.fewshot import PASS_PIXELS, FewShotNetwork, Head
from hmseg.networks.hsnet import HSNetHead
from hmseg.networks.prototype import PrototypeHead
from hmseg.networks.vat import VATHead

HEADS: dict[str, type[Head]] = {
    "hsnet": HSNetHead,
    "asnet": ASNetHead,
    "vat": VATHead,
    "prototype": PrototypeHead,
}


def build_network(
    model: str = "hsnet",
    masking: str = "hybrid",
    backbone: str = "resnet50",
    weights: str = "random",
    *,
    pass_pixels: int = PASS_PIXELS,
    **options: Any,
) -> FewShotNetwork:
    """A few-shot network, in eval mode.

    Args:
        model: head, ``hsnet``, ``asnet``, ``vat``, or the training-free ``prototype``.
        masking: ``none``, ``feature``, ``input`` or ``hybrid``.
        backbone: see :func:`hmseg.backbones.build_backbone`.
        weights: of the backbone: ``random``, ``imagenet``, ``bundled`` or a file. The head starts untrained.
        pass_pixels: most image pixels in one backbone pass.
        options: further arguments of the head.

    Raises:
        ConfigError: an unknown name or option.
        WeightsError: the backbone's weights can't be had.

    Example:
        >>> import torch
        >>> network = build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")
        >>> mask = torch.zeros(1, 2, 64, 64, dtype=torch.bool)
        >>> mask[..., 16:48, 16:48] = True
        >>> network(torch.randn(1, 3, 64, 64), torch.randn(1, 2, 3, 64, 64), mask).shape
        torch.Size([1, 2, 2, 64, 64])
    """
    if model not in HEADS:
        raise ConfigError(unknown("model", model, HEADS))
    strategy = build_masking(masking)
    pyramid = build_backbone(backbone, weights)
    try:
        head = HEADS[model](pyramid.feature_info, **options)
    except TypeError as error:
        raise ConfigError(
            f"model '{model}' does not take these options ({', '.join(options)}): {error}"
        ) from error
    join_shots = isinstance(head, PrototypeHead)  # one prototype of all supports
    return FewShotNetwork(pyramid, strategy, head, pass_pixels, join_shots=join_shots).eval()
