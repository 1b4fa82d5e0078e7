"""Published weights into our networks, and back (REFERENCE section 12); :mod:`hmseg.published` has files."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hmseg.errors import CheckpointError
from hmseg.networks import FewShotNetwork
from hmseg.state_dicts import Misfit, listed, misfits

COUNTERS = ("num_batches_tracked",)
"""Ends of names that frozen batch norm never looks at: their values don't matter."""
CONSTANTS = ("relative_position_index", "attn_mask")
"""Ends of the names of VAT's buffers. Construction determines them: absent or present, but not different."""

_BACKBONE_MARKS = {  # a name that only this backbone's published state dicts hold
    "resnet101": "backbone.layer3.22.conv1.weight",
    "resnet50": "backbone.layer3.5.conv1.weight",
    "vgg16": "backbone.features.28.weight",
    "mobilenet_v2": "backbone.features.17.conv.3.weight",
}
_MODEL_MARKS = {"asnet": "learner.", "vat": "hpn_learner.ours.", "hsnet": "hpn_learner.encoder_layer4."}
_STAGES = [f"hpn_learner.ours.swin_decoder.{stage}.0.transformer.norm.weight" for stage in range(3)]
_AFFINITY: Mapping[tuple[int, ...], str] = {
    (128, 128, 64): "pascal",
    (128, 96, 64): "coco",
    (192, 128, 64): "fss",
}
"""Channels entering VAT's three stages, 128 (+64), 96 (+32), 48 (+16), by data set. REFERENCE section 6."""


def load_published(network: FewShotNetwork, state_dict: Mapping[str, Tensor]) -> None:
    """Load a published state dict, backbone included, into a network of the same model and backbone.

    Strict: every entry of the network must be there in its shape and finite, and nothing else but a
    classifier's. Counters of batch norm and VAT's constant buffers may be missing; constants that are there
    must be the network's.

    Args:
        network: changed in place, and only when everything fits. Where its backbone's weights become others
            than they were, ``network.backbone.weights_origin`` becomes ``checkpoint``.
        state_dict: published names without ``module.``: ``backbone.…`` and ``hpn_learner.…``, for ASNet
            ``learner.…``.

    Raises:
        CheckpointError: what is missing, unexpected or of another shape.

    Example:
        >>> import hmseg
        >>> trained = hmseg.build_network("hsnet", "hybrid", "mobilenet_v2")
        >>> state_dict = hmseg.export_published(trained)
        >>> "hpn_learner.decoder2.2.bias" in state_dict
        True
        >>> network = hmseg.build_network("hsnet", "hybrid", "mobilenet_v2")
        >>> hmseg.load_published(network, state_dict)
        >>> all(torch.equal(a, b) for a, b in zip(network.parameters(), trained.parameters()))
        True
    """
    if problems := published_misfits(network, state_dict):
        raise CheckpointError(
            f"the published weights do not fit this network: {listed(problems, most=5)}; "
            f"{advice(network, state_dict)}"
        )
    own = network.state_dict()
    given = {_our_name(network, name): value for name, value in state_dict.items()}
    if any(
        not torch.equal(value, given[name].to(value))
        for name, value in own.items()
        if name.startswith("backbone.") and name in given and not name.endswith(COUNTERS)
    ):
        network.backbone.weights_origin = "checkpoint"
    network.load_state_dict({**own, **{name: given[name] for name in own.keys() & given.keys()}})


def export_published(network: FewShotNetwork) -> dict[str, Tensor]:
    """The network's state dict under the published names, the inverse of :func:`load_published`.

    The tensors are the network's own, not copies. A backbone's classifier is not among them: our networks
    have none.
    """
    state = dict(network.state_dict())
    state |= {name: value for name, value in network.named_buffers() if name.endswith(CONSTANTS)}
    return {_published_name(network, name): value for name, value in state.items()}


def published_misfits(network: FewShotNetwork, state_dict: Mapping[str, Tensor]) -> list[Misfit]:
    """What keeps a published state dict from being loaded into a network, under the published names.

    Args:
        network: not changed.
        state_dict: as for :func:`load_published`.
    """
    own = export_published(network)
    classifier = tuple(f"backbone.{prefix}" for prefix in network.backbone.classifier_prefixes)
    free = (*COUNTERS, *CONSTANTS)
    found = misfits(
        {name: value for name, value in own.items() if not name.endswith(free)},
        {
            name: value
            for name, value in state_dict.items()
            if not name.endswith(free) and (name in own or not name.startswith(classifier))
        },
    )
    for name in sorted(own.keys() & state_dict.keys()):
        ours, theirs = own[name], state_dict[name]
        if name.endswith(CONSTANTS) and ours.shape != theirs.shape:
            found.append(Misfit(name, "shape", str(tuple(theirs.shape)), str(tuple(ours.shape))))
        elif name.endswith(CONSTANTS) and not torch.equal(theirs.to(ours), ours):
            found.append(Misfit(name, "values", "other values", "those of this network"))
    return found


def advice(network: FewShotNetwork, state_dict: Mapping[str, Tensor]) -> str:
    """What to try where a published state dict doesn't fit, by what its names look like.

    Example:
        >>> import hmseg
        >>> network = hmseg.build_network("hsnet", "hybrid", "mobilenet_v2")
        >>> published = {"learner.a": torch.zeros(1), "backbone.layer3.22.conv1.weight": torch.zeros(1)}
        >>> advice(network, published)
        'this looks like a file of model asnet, backbone resnet101: give model=asnet backbone=resnet101'
    """
    if any(name.startswith("module.") for name in state_dict):
        return "take 'module.' off the names, or give the file to hmseg.import_published, which does"
    if not any(name.startswith("backbone.") for name in state_dict):
        return "it holds no backbone (no name begins with 'backbone.'), as published files do"
    own, theirs = _looks(export_published(network)), _looks(state_dict)
    other = {key: value for key, value in theirs.items() if value != own.get(key)}
    data = other.pop("dataset", None)
    if other:
        what = ", ".join(f"{key} {value}" for key, value in other.items())
        return f"this looks like a file of {what}: give {' '.join(f'{k}={v}' for k, v in other.items())}"
    if data:
        return f"this looks like a file for {data}: give dataset={data} (in Python affinity='{data}')"
    return "check model and backbone"


def _looks(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Model, backbone and (VAT only) data set that a published state dict seems to be of, where known."""
    model = [key for key, mark in _MODEL_MARKS.items() if any(name.startswith(mark) for name in state)]
    backbone = [key for key, mark in _BACKBONE_MARKS.items() if mark in state]
    affinity = _AFFINITY.get(tuple(len(state[name]) for name in _STAGES if name in state))
    found = {"model": model[:1], "backbone": backbone[:1], "dataset": [affinity] if affinity else []}
    return {key: values[0] for key, values in found.items() if values}


def _our_name(network: FewShotNetwork, name: str) -> str:
    prefix = network.head.published_prefix
    return f"head.{name.removeprefix(prefix)}" if name.startswith(prefix) else name


def _published_name(network: FewShotNetwork, name: str) -> str:
    return network.head.published_prefix + name.removeprefix("head.") if name.startswith("head.") else name
