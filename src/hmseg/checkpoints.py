"""Published weights into our networks, and back."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hmseg.errors import CheckpointError
from hmseg.networks import FewShotNetwork

LEARNER = "hpn_learner."
"""What the published code calls the head."""


def load_published(network: FewShotNetwork, state_dict: Mapping[str, Tensor]) -> None:
    """Load a published state dict, backbone included, into a network of the same model and backbone.

    Strict: every entry of the network must be there in its shape, and nothing else but a classifier's.
    ``num_batches_tracked`` counters (unused in eval mode) may be missing.

    Args:
        network: changed in place, and only when everything fits.
        state_dict: published names without ``module.``: ``backbone.…`` and ``hpn_learner.…``.

    Raises:
        CheckpointError: what is missing, unexpected or of another shape.
    """
    own = network.state_dict()
    given = {_our_name(name): value for name, value in state_dict.items()}
    classifier = tuple(f"backbone.{prefix}" for prefix in network.backbone.classifier_prefixes)
    counters = {name for name in own.keys() | given.keys() if name.endswith("num_batches_tracked")}
    problems = [f"{name} is missing" for name in own.keys() - given.keys() - counters]
    for name in sorted(given.keys() - counters):
        if name not in own and not name.startswith(classifier):
            problems.append(f"{name} is unexpected")
        elif name in own and own[name].shape != given[name].shape:
            problems.append(f"{name} is {tuple(given[name].shape)} instead of {tuple(own[name].shape)}")
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(
            f"the published weights do not fit this network: {'; '.join(sorted(problems)[:5])}{more}; "
            "check model and backbone"
        )
    network.load_state_dict({**own, **{name: given[name] for name in own.keys() & given.keys()}})


def export_published(network: FewShotNetwork) -> dict[str, Tensor]:
    """The network's state dict under the published names, the inverse of :func:`load_published`."""
    return {_published_name(name): value for name, value in network.state_dict().items()}


def _our_name(name: str) -> str:
    return f"head.{name.removeprefix(LEARNER)}" if name.startswith(LEARNER) else name


def _published_name(name: str) -> str:
    return f"{LEARNER}{name.removeprefix('head.')}" if name.startswith("head.") else name
