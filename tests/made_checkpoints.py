"""Checkpoints of small untrained networks, as a run writes them, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hmseg.networks import FewShotNetwork, build_network
from hmseg.run_checkpoints import fingerprint, pack

SIDE = 64


def config(**changes: Any) -> dict[str, Any]:
    """The parts of a run's configuration that say what the network is."""
    return {
        "aggregation": "vote",
        "model": {"_target_": "hmseg.networks.hsnet.HSNetHead", "_partial_": True},
        "masking": {"_target_": "hmseg.masking.HybridMasking", "relu": "before", "levels": None},
        "backbone": {
            "_target_": "hmseg.backbones.build_backbone",
            "name": "mobilenet_v2",
            "weights": "bundled",
        },
        "dataset": {"name": "shapes", "image_size": SIDE},
        "loader": {"resize": "pil"},
        **changes,
    }


def write_checkpoint(
    path: Path, network: FewShotNetwork | None = None, dtype: torch.dtype = torch.float32, **changes: Any
) -> FewShotNetwork:
    """Writes a checkpoint of a network, HSNet with hybrid masking on the bundled MobileNetV2 by default.

    Args:
        path: of the file.
        network: the one to write, or None.
        dtype: of its floating-point tensors in the file.
        changes: of the configuration.

    Returns:
        The network.
    """
    torch.manual_seed(1)
    network = network or build_network("hsnet", "hybrid", "mobilenet_v2", weights="bundled")
    state = {
        f"network.{name}": value.to(dtype) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    checkpoint: dict[str, Any] = {"state_dict": state}
    pack(checkpoint, network.backbone.weights_origin, fingerprint(network.backbone), config(**changes))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, path)
    return network
