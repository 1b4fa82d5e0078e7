"""Few-shot networks: backbone + masking + head."""

from hmseg.networks.asnet import ASNetHead
from hmseg.networks.build import HEADS, build_network
from hmseg.networks.fewshot import FewShotNetwork, Head
from hmseg.networks.hsnet import HSNetHead
from hmseg.networks.prototype import PrototypeHead
from hmseg.networks.shots import vote
from hmseg.networks.vat import VATHead

__all__ = [
    "HEADS",
    "ASNetHead",
    "FewShotNetwork",
    "HSNetHead",
    "Head",
    "PrototypeHead",
    "VATHead",
    "build_network",
    "vote",
]
