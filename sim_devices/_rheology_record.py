"""A rheometer's record in a CSV file, played back."""

import csv
from pathlib import Path

import numpy as np

COLUMNS = ("time", "shear_rate", "shear_stress", "viscosity", "torque")
RESTING_RATE = 1e-3  # 1/s: below it the record's shear rate is noise


class RheologyRecord:
    """A record that can be asked for any time.

    Parameters
    ----------
    path : path-like
        CSV with the columns time (s), shear_rate (1/s), shear_stress (Pa), viscosity (Pa s) and torque (mN m).

    Raises
    ------
    ValueError
        If the file cannot be read, lacks a column, or its times do not increase.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        about = f"the rheometer record {path}"
        try:
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                rows, found = list(reader), reader.fieldnames or ()
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"cannot read {about}: {error}") from error
        if missing := [name for name in COLUMNS if name not in found]:
            raise ValueError(f"{about} has no column {', '.join(missing)}; it has {', '.join(found)}")
        self._columns = {}
        for name in COLUMNS:
            try:
                self._columns[name] = np.array([float(row[name]) for row in rows])
            except (TypeError, ValueError) as error:
                raise ValueError(f"column {name} of {about} holds something not a number") from error
        self._time = self._columns["time"]
        if not rows or not np.all(np.diff(self._time) > 0):
            raise ValueError(f"column time of {about} must hold at least one time and increase")
        self._sheared = np.abs(self._columns["shear_rate"]) > RESTING_RATE

    def at(self, elapsed_s: float) -> dict[str, float]:
        """Values of all columns but the time, that long after the record's first row; at its end the last ones stay."""
        time = self._time[0] + elapsed_s
        return {name: float(np.interp(time, self._time, self._columns[name])) for name in COLUMNS[1:]}

    def age_s(self, elapsed_s: float) -> float:
        """Time since the last row with shear, 0 while shear goes on; since the beginning if there was none."""
        time = self._time[0] + elapsed_s
        row = int(np.searchsorted(self._time, time, side="right")) - 1
        sheared = np.flatnonzero(self._sheared[: row + 1])
        if not sheared.size:
            return elapsed_s
        last = int(sheared[-1])
        goes_on = last == row and self._sheared[min(row + 1, self._time.size - 1)]
        return 0.0 if goes_on else float(time - self._time[last])
