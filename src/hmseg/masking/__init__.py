"""Masking strategies: which support features reach the hypercorrelation.

Pure functions first (``functions``: tensors in, tensors out), thin strategies after them (``strategies``). A
strategy says which variants of the support image must pass the backbone and how their features are joined;
it knows nothing of the backbone, the head or Lightning. REFERENCE section 2; Hybrid Masking is Moon et al.,
ECCV 2022 (arXiv 2203.12826). Every option's default is the published behaviour, bit for bit.
"""

from hmseg.masking.functions import (
    Fill,
    dilate_mask,
    feature_mask,
    hybrid_mask,
    input_mask,
    resize_mask,
)
from hmseg.masking.strategies import (
    MASKINGS,
    FeatureMasking,
    HybridMasking,
    InputMasking,
    Masking,
    NoMasking,
    Variant,
    build_masking,
)

__all__ = [
    "MASKINGS",
    "FeatureMasking",
    "Fill",
    "HybridMasking",
    "InputMasking",
    "Masking",
    "NoMasking",
    "Variant",
    "build_masking",
    "dilate_mask",
    "feature_mask",
    "hybrid_mask",
    "input_mask",
    "resize_mask",
]
