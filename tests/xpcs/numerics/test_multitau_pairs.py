"""The multi-tau correlator compared with plain sums over pairs, for any division into blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainerd_xpcs.numerics import MultiTau
from tests.weighted import weights

N = 300


@pytest.fixture(scope="module")
def counts(partition):
    """Relaxing frames under a flickering beam; some are dark, in all bins or in one."""
    rng = np.random.default_rng(3)
    field = np.cumsum(rng.normal(size=(N, 2, len(partition.pixels))), 0) / 5
    counts = rng.poisson(((field**2).sum(1) / 5 + 1) * (1 + 0.3 * rng.random(N))[:, None]).astype(np.uint16)
    counts[[0, 40, 41, 150]] = 0
    counts[100:110, : partition.n_pixels[0]] = 0
    return counts


@pytest.fixture(scope="module")
def valid():
    valid = np.random.default_rng(4).random(N) > 0.05
    valid[200:] = True
    return valid


def pushed(partition, counts, valid, blocks, *, asked=(), out=(), at=None):
    """Push all frames, with intermediate results at frames `asked`, and pixels left out at frame `at`."""
    live, begin, i = MultiTau(partition), 0, 0
    while begin < len(counts):
        if begin == at:
            live.leave_out(out)
        end = min(begin + blocks[i % len(blocks)], len(counts), *(x for x in (*asked, at or 0) if x > begin))
        live.push(counts[begin:end], valid=valid[begin:end])
        if end in asked:
            live.result()
        begin, i = end, i + 1
    return live


def mean_of_pairs(partition, counts, valid):
    """Return the mean over pairs and pixels of d d' / S², and the pairs, by bin and lag."""
    edges, means = np.append(0, np.cumsum(partition.n_pixels)), {}
    sub = np.diff(partition.static_edges)
    profile = np.repeat(np.add.reduceat(counts[valid].sum(0), partition.static_edges[:-1]) / sub, sub)
    for k in range(partition.n_roi):
        bin_ = slice(edges[k], edges[k + 1])
        keep = valid & (counts[:, bin_].sum(1) > 0)
        a = np.where(keep, counts[:, bin_].mean(1), 0)
        w, level = weights(a[None])[0], 0
        d = np.divide(w, a, out=np.zeros_like(a), where=keep)[:, None] * counts[:, bin_]
        d /= profile[bin_] / profile[bin_].mean()
        while len(d) > 8:
            for c in range(1 if level == 0 else 8, min(16, len(d))):
                pairs = (w[c:] * w[:-c]).sum()
                means[k, c << level] = (d[c:] * d[:-c]).mean(1).sum() / max(pairs, 1e-9), pairs
            half = len(d) // 2
            d, w, level = (d[: 2 * half : 2] + d[1::2][:half]) / 2, (w[: 2 * half : 2] + w[1::2][:half]) / 2, level + 1
    return means


@pytest.mark.parametrize("blocks", [(N,), (1,), (7, 50)])
def test_g2_is_the_mean_over_the_pairs_of_each_level(partition, counts, valid, blocks):
    g2 = pushed(partition, counts, valid, blocks).result()
    for (k, lag), (value, pairs) in mean_of_pairs(partition, counts, valid).items():
        if pairs > 0:
            here = np.flatnonzero(g2.lag == lag)[0]
            assert g2.value[k, here] == pytest.approx(value, rel=2e-6), (k, lag)


@settings(max_examples=20, deadline=None)
@given(
    blocks=st.lists(st.integers(1, 130), min_size=1, max_size=4),
    asked=st.lists(st.integers(2, N), max_size=2),
    at=st.sampled_from([None, 1, 31, 32, 33, 97, 250]),
)
def test_block_sizes_and_intermediate_results_change_nothing(partition, counts, valid, blocks, asked, at):
    out = [3, 40, 41, 200]
    wanted = pushed(partition, counts, valid, (N,), out=out, at=at).result()
    in_blocks = pushed(partition, counts, valid, blocks, asked=asked, out=out, at=at).result()
    for name in ("value", "error", "parts"):
        np.testing.assert_allclose(getattr(in_blocks, name), getattr(wanted, name), rtol=1e-5, atol=1e-5)
