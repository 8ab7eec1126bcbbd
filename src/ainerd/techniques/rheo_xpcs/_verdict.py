"""Where a run lies in the latent space, and how surprising it is: ring by ring, and of all rings together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ainerd.latent import SIZE, block_mean
from ainerd.techniques.rheo_xpcs._features import features, sectors_of
from ainerd.techniques.rheo_xpcs._rings import Ring
from ainerd.techniques.rheo_xpcs._seen import at_edge, of_bins

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
    embedding : ndarray, shape (n_point,)
        Mean of those of the rings.
    p : float or None
        Of the run: the smallest of the rings' p-values, times how many have one (Bonferroni).
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
            "strangest_in": self.verdict.strangest_term if self.verdict else None,
            **{f"strangeness_{term}": x for term, x in excess.items()},
        }


def judge(
    technique: "RheoXPCS",
    maps: NDArray[np.float32],
    photons: NDArray[np.float64],
    contrasts: Sequence[tuple[float, float] | None],
    speckle_px: float = 1.0,
) -> Judged:
    """Judge the maps (n_roi, 256, 256) of a run with so many photons a pixel in each bin, (n_roi,).

    `contrasts` are beta of each ring and its relative error, None where no speckle was found; `speckle_px` are the
    pixels that see the same speckle.
    """
    latent = technique.encoder.encode(maps)
    embeddings, found, gaps = [], [], []
    p_of_ring = np.full(len(technique.rings), np.nan)
    for number, (ring, contrast) in enumerate(zip(technique.rings, contrasts, strict=True)):
        phi = np.full(len(ring.bins), np.nan) if ring.phi_deg is None else ring.phi_deg
        embeddings.append(technique.encoder.point(latent[ring.bins], phi=phi, weights=ring.weights))
        gap = technique.gap(contrast)
        if gap is not None:
            gaps.append(gap)
            continue
        assert contrast is not None  # or there is a gap
        of_ring = block_mean(maps[ring.bins])
        seen = of_bins(ring, of_ring, float(ring.weights @ photons[ring.bins]), contrast, speckle_px)
        given = seen.bank()
        found.append(technique.scorer(given).explain(_described(technique, of_ring, ring, given)[None])[0])
        p_of_ring[number] = found[-1].p
    return Judged(
        latent=latent,
        embedding=np.mean(embeddings, axis=0, dtype=np.float32),
        p=min(1.0, float(np.nanmin(p_of_ring)) * len(found)) if found else None,
        p_of_ring=p_of_ring,
        no_claim=None if found else gaps[0],
        verdict=min(found, key=lambda verdict: verdict.p) if found else None,
    )


def _described(
    technique: "RheoXPCS", maps: NDArray[np.float32], ring: Ring, given: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Features of the maps (n, 64, 64) of a ring, with the noise of the bank that is given."""
    own, told = (sectors_of(n, given["phi_deg"], given["by_azimuth"]) for n in (ring.pixels, given["n_pixels"]))
    of_sectors = at_edge(own.average(maps), own, given)
    mean = np.tensordot(told.share, of_sectors, 1)[None].astype(np.float32)
    linear = technique.encoder.linear
    held = linear.decode(linear.encode(mean), size=SIZE)
    return features(held, mean, of_sectors[None], told, photons=given["photons"])[0]


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
