"""Hypercorrelation against loops over all pairs of positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmseg.correlation import EPS, correlate, hypercorrelation


def slow(query: np.ndarray, support: np.ndarray) -> np.ndarray:
    """(C, hq, wq) and (C, hs, ws) -> (hq, wq, hs, ws), one pair at a time."""
    _, hq, wq = query.shape
    _, hs, ws = support.shape
    out = np.zeros((hq, wq, hs, ws))
    for a in np.ndindex(hq, wq):
        for b in np.ndindex(hs, ws):
            q, s = query[:, a[0], a[1]], support[:, b[0], b[1]]
            cosine = (q / (np.linalg.norm(q) + EPS)) @ (s / (np.linalg.norm(s) + EPS))
            out[a + b] = max(cosine, 0.0)
    return out


def test_every_pair_of_positions_for_every_shot() -> None:
    rng = torch.Generator().manual_seed(0)
    query = torch.randn(2, 7, 3, 4, generator=rng)
    support = torch.randn(6, 7, 2, 3, generator=rng)  # three shots for each of two images
    got = correlate(query, support)
    assert got.shape == (6, 3, 4, 2, 3)
    for n in range(6):
        np.testing.assert_allclose(got[n], slow(query[n // 3].numpy(), support[n].numpy()), atol=1e-6)


def test_zero_features_correlate_with_nothing() -> None:
    assert correlate(torch.zeros(1, 4, 2, 2), torch.randn(1, 4, 2, 2)).abs().sum() == 0


def test_maps_are_stacked_in_forward_order_and_left_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    query = [torch.randn(1, c, 2, 2, generator=rng) for c in (3, 5)]
    support = [torch.randn(1, c, 2, 2, generator=rng) for c in (3, 5)]
    before = [m.clone() for m in query + support]
    stacked = hypercorrelation(query, support)
    assert stacked.shape == (1, 2, 2, 2, 2, 2)
    for channel, (q, s) in enumerate(zip(query, support, strict=True)):
        assert torch.equal(stacked[:, channel], correlate(q, s))
    assert all(torch.equal(m, copy) for m, copy in zip(query + support, before, strict=True))


@pytest.mark.parametrize("support", [torch.zeros(2, 5, 2, 2), torch.zeros(3, 4, 2, 2)])
def test_misfits_are_refused(support: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        correlate(torch.zeros(2, 4, 2, 2), support)
