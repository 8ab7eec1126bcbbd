"""Where a run lies in the latent space, and how surprising it is: ring by ring, and of all rings together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.latent import run_embedding
from ainerd.techniques.rheo_xpcs._features import run_features

if TYPE_CHECKING:
    from ainerd.novelty import Verdict
    from ainerd.techniques.rheo_xpcs._technique import RheoXPCS

MOST_MISSING = 0.1  # of the rows of a map, that others stand in for


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is said of the maps of a run.

    Attributes
    ----------
    latent : ndarray, shape (n_roi, d)
        Of each bin.
    embedding : ndarray, shape (16,)
        Mean of those of the rings.
    p : float or None
        Of the run: the smallest of the rings' p-values, times their number (Bonferroni).
    p_of_ring : ndarray, shape (n_ring,)
        NaN without a claim.
    no_claim : str or None
        Why there is none.
    verdict : Verdict or None
        On the ring with the smallest p-value.
    """

    latent: NDArray[np.float32]
    embedding: NDArray[np.float32]
    p: float | None
    p_of_ring: NDArray[np.float64]
    no_claim: str | None
    verdict: "Verdict | None"

    @property
    def summary(self) -> dict[str, Any]:
        """What a person may filter on."""
        excess = self.verdict.excess if self.verdict else {}
        return {
            "no_claim": self.no_claim,
            "nearest_known": self.verdict.nearest if self.verdict else None,
            "strangest_in": self.verdict.spoke if self.verdict else None,
            **{f"strangeness_{term}": x for term, x in excess.items()},
        }


def judge(
    technique: "RheoXPCS", maps: NDArray[np.float32], photons: NDArray[np.float64], contrasts: Sequence[float | None]
) -> Judged:
    """Judge the maps (n_roi, 256, 256) of a run with so many photons a pixel in each bin, (n_roi,).

    `contrasts` are beta of each ring, None where no speckle was found.
    """
    latent = technique.encoder.encode(maps)
    embeddings, found, gaps = [], [], []
    for ring, contrast in zip(technique.rings, contrasts, strict=True):
        embeddings.append(run_embedding(technique.encoder, latent[ring.bins], ring.weights, by_azimuth=ring.by_azimuth))
        of_ring = float(ring.weights @ photons[ring.bins])
        gap = technique.gap(ring, of_ring, contrast)
        if gap is not None:
            gaps.append(gap)
            continue
        assert contrast is not None  # or there is a gap
        features = run_features(
            technique.encoder,
            maps[ring.bins],
            ring.weights,
            n_frames=1,
            counts=of_ring,
            n_pixels=ring.n_pixels / len(ring.bins),
            by_azimuth=ring.by_azimuth,
        )
        found.append(technique.scorer(ring, of_ring, contrast).explain(features[None])[0])
    p_of_ring = np.full(len(technique.rings), np.nan)
    if not gaps:
        p_of_ring[:] = [verdict.p for verdict in found]
    return Judged(
        latent=latent,
        embedding=np.mean(embeddings, axis=0, dtype=np.float32),
        p=None if gaps else min(1.0, float(p_of_ring.min()) * len(found)),
        p_of_ring=p_of_ring,
        no_claim=gaps[0] if gaps else None,
        verdict=None if gaps else min(found, key=lambda verdict: verdict.p),
    )


def filled(maps: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Maps (n_roi, n, n) in which the nearest rows stand in for those without a valid frame, at the same lags.

    None if more than a tenth of the rows of a map are missing.
    """
    missing: NDArray[np.bool_] = np.asarray(np.isnan(maps).all(2))
    if missing.mean(1).max() > MOST_MISSING:
        return None
    if not missing.any():
        return maps
    out, n = maps.copy(), maps.shape[1]
    for k in np.flatnonzero(missing.any(axis=1)):
        there = np.flatnonzero(~missing[k])
        nearest = there[np.abs(there[:, None] - np.arange(n)).argmin(0)]
        for i in np.flatnonzero(missing[k]):
            row = nearest[i]
            partner = np.clip(np.arange(n) + row - i, 0, n - 1)  # the same lag
            out[k, i] = out[k, :, i] = maps[k, row, nearest[partner]]
    return out
