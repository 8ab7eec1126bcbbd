"""Azimuths of exposures from files: latents that were made elsewhere, and a rheometer's own record."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ainerd.techniques.rheo_xpcs.figures._azimuths import Azimuths, cluster

_AT_REST = 0.01  # of the highest shear rate


def shaped(latents: NDArray[np.float32], n_roi: int) -> NDArray[np.float32]:
    """Latents (n, n_roi, m), of those or of (n n_roi, m), in which the azimuth runs fastest; ValueError otherwise."""
    if latents.dtype.kind not in "fiu" or latents.ndim not in (2, 3) or not latents.size:
        raise ValueError(f"latents must be numbers (n, azimuths, m) or (n × azimuths, m), got {latents.shape}")
    if latents.ndim == 2:
        if len(latents) % n_roi:
            raise ValueError(f"{len(latents)} latents are not a whole number of exposures of {n_roi} azimuths")
        latents = latents.reshape(-1, n_roi, latents.shape[-1])
    if not np.isfinite(latents).all():
        raise ValueError("latents hold values that are not finite")
    return latents.astype(np.float32)


def read_record(file: Path) -> tuple[pd.DataFrame, float | None]:
    """A rheometer's record: columns ``time`` (s) and ``stress`` (Pa), and the time at which shear stopped.

    Columns are found by name, whatever else that holds: time, stress, and a shear rate if there is one, without which
    nothing is known of when shear stopped.

    Raises
    ------
    ValueError
        If a column is missing or there are several, or a value is no number.
    """
    try:
        table = pd.read_csv(file)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not a table of comma-separated values ({error})") from None
    record = pd.DataFrame({name: _numbers(table, _column(table, name, file), file) for name in ("time", "stress")})
    if not (np.diff(record["time"]) > 0).all():
        raise ValueError(f"{file}: times must rise from row to row")
    if not any("rate" in str(column).lower() for column in table):
        return record, None
    rate = np.abs(_numbers(table, _column(table, "rate", file), file))
    sheared = np.flatnonzero(rate > _AT_REST * rate.max())
    return record, float(record["time"].iloc[sheared[-1]]) if sheared.size else None


def azimuths_of(
    latents: NDArray[np.float32],
    record: pd.DataFrame | None = None,
    *,
    k: int,
    first: float = 0.0,
    every: float | None = None,
    shear_stopped: float = 0.0,
) -> Azimuths:
    """Azimuths of consecutive exposures, compared as they are, as Horwath et al. (2024) did.

    Parameters
    ----------
    latents : ndarray, shape (n, n_roi, m)
    record : pandas.DataFrame, optional
        As `read_record` gives it.
    k : int
        Number of clusters.
    first, shear_stopped : float
        When the first exposure began and shear stopped, in the time of the record.
    every : float, optional
        Seconds from one exposure to the next; all the record's from `first` on in equal parts without it.
    """
    n = len(latents)
    if record is not None:
        left = float(record["time"].iloc[-1]) - first
        every = left / n if every is None else every
        if not 0 < every * n <= left * 1.01:
            raise ValueError(
                f"{n} exposures of {every:g} s from {first:g} s on do not fit into a record that ends after {left:g} s"
            )
    every = 1.0 if every is None else every
    start = first - shear_stopped + every * np.arange(n)
    runs = pd.DataFrame({"start_s": start, "stop_s": start + every}, index=[f"exposure {i}" for i in range(n)])
    stress = pd.DataFrame({"exposure": [], "age": [], "stress": []})
    if record is not None:
        exposure = np.floor((record["time"] - first) / every).astype(int)
        stress = pd.DataFrame({"exposure": exposure, "age": record["time"] - shear_stopped, "stress": record["stress"]})
        stress = stress[exposure.between(0, n - 1)]
    points = latents.astype(float)
    return Azimuths(runs=runs, latents=latents, points=points, labels=cluster(points, k), stress=stress)


def _column(table: pd.DataFrame, name: str, file: Path) -> str:
    found = [str(column) for column in table if name in str(column).lower()]
    if len(found) != 1:
        raise ValueError(
            f"{file}: needs one column with {name!r} in its name, of {', '.join(map(str, table))} it could be "
            f"{' or '.join(found) or 'none'}"
        )
    return found[0]


def _numbers(table: pd.DataFrame, column: str, file: Path) -> NDArray[np.float64]:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{file}: {table[column].iloc[row]!r} in column {column}, row {row + 2}, is no number")
    return values
