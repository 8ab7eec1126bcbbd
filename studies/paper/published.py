"""The published latents of the paper: 18 azimuths of 50 exposures, and the record of the stress in the same experiment.

They are files of https://github.com/jhorwath/XPCS_Clustering (BSD-3-Clause, © 2023 UChicago Argonne, LLC).
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from studies.paper.azimuths import Azimuths, cluster

LATENTS = "analysis_data/full_dataset_AugmentedTraining_rheo64.npy"
STARTS, SECTORS = "analysis_data/E031_256_start.npy", "analysis_data/E031_256_sectors.npy"
AT_REST = 0.01  # share of the highest shear rate
RANGES = 10, 15, 20, 30  # most clusters that an elbow is sought in


def read_published(folder: Path, record: Path) -> Azimuths:
    """Read the latents in a clone of the repository and the record of the stress; make `elbow` clusters of them.

    Vectors are compared at their own length, as in the paper. The starts of exposures are taken as times since shear
    stopped, which the repository does not state; shear stops at the last row of the record with a shear rate.

    Parameters
    ----------
    folder : Path
    record : Path
        CSV with columns time (s), shear_rate (1/s) and shear_stress (Pa).

    Raises
    ------
    ValueError
        If a file is missing, or if the latents are not those of the same azimuths at each time.
    """
    try:
        latents, start, sector = (np.load(folder / name, allow_pickle=False) for name in (LATENTS, STARTS, SECTORS))
        measured = pd.read_csv(record)
    except OSError as error:
        raise ValueError(f"{error}: give the clone of XPCS_Clustering, and the CSV of the rheometer") from error
    order = np.lexsort((sector, start))
    start, n_roi = np.unique(start), len(np.unique(sector))
    if latents.ndim != 2 or len({len(latents), len(order), len(start) * n_roi}) > 1:
        raise ValueError(f"{folder}: latents {latents.shape} are not one for each of {len(start)} × {n_roi} exposures")
    points = latents[order].reshape(len(start), n_roi, -1).astype(float)
    runs = pd.DataFrame({"start_s": start, "stop_s": np.r_[start[1:], 2 * start[-1] - start[-2]]})
    sheared = measured["shear_rate"] > AT_REST * measured["shear_rate"].max()
    age = measured["time"] - measured["time"][sheared].max()
    exposure = np.searchsorted(start, age, side="right") - 1
    stress = pd.DataFrame({"exposure": exposure, "age": age, "stress": measured["shear_stress"]})
    stress = stress[(age >= start[0]) & (age < runs["stop_s"].iloc[-1])]
    return Azimuths(runs=runs, points=points, labels=cluster(points, elbow(inertia(latents)[:20])), stress=stress)


def inertia(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of squared distances from the centres of k-means, for 1 to 30 clusters of points (n, m)."""
    return np.array([KMeans(k, n_init=10, random_state=0).fit(points).inertia_ for k in range(1, RANGES[-1] + 1)])


def elbow(inertia: NDArray[np.float64]) -> int:
    """Return the number of clusters at which the inertia lies farthest below its chord (Satopää et al., 2011)."""
    return int(np.argmin(inertia - np.linspace(inertia[0], inertia[-1], len(inertia)))) + 1


def without_clusters(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw as many points of a Gaussian with the mean and the covariance of points (n, m)."""
    return np.random.default_rng(0).multivariate_normal(points.mean(0), np.cov(points.T), len(points))
