"""The dose of a sample by spot, and its limits."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ainerd.knobs import Exposure, ExposureOptions, Knob
from ainerd.processes import lock_file

SLACK = 1e-9  # share of a limit, or of the beam, by which floats may differ
STILL = 0.01  # shares of the beam by which a position may change during an exposure


class DoseError(ValueError):
    """Raised if an exposure would pass a limit of dose; the message names the spot, the dose and the limit.

    Examples
    --------
    >>> from ainerd.knobs import Exposure, ExposureOptions, Mode
    >>> mode = Mode(frame_time_s=(0.001, 1.0), frames=(100, 20000))
    >>> book = DoseBook(ExposureOptions(modes=[mode], flux=1e6, limit=3e7), beam={"sample_x": 0.1})
    >>> book.enter("1", {"sample_x": 3.0}, Exposure(frame_time_s=0.01, n_frames=4000, transmission=1.0))
    Traceback (most recent call last):
        ...
    ainerd.dose._book.DoseError: the spot at sample_x = 3 has 0 photons/um2, and ... passes the limit of 3e+07
    """


class DoseBook:
    """Keeps the dose of each exposure, and refuses exposures that would pass a limit.

    An exposure is entered before the shutter opens, at the position that the knobs read back. All earlier exposures
    less than a beam away along each knob count in full for a spot, so that no point of the sample gets more than the
    limit. An exposure whose shutter is open counts until now, if that is longer than planned; so does one whose process
    was killed, until a next session closes the shutter and calls `settle`. With a file, entries survive a crash, and
    several processes share them: each entry is on disk before `enter` and `opened` return, under a lock.

    Parameters
    ----------
    options : ExposureOptions
    beam : mapping of str to float
        Size of the beam along each knob, in the unit of the knob.
    knobs : mapping of str to Knob, optional
        Spots with different values of a knob that is `apart` are on different samples.
    path : Path, optional
        A file of JSON lines; it is created if it does not exist.

    Examples
    --------
    >>> from ainerd.knobs import Exposure, ExposureOptions, Mode
    >>> mode = Mode(frame_time_s=(0.001, 1.0), frames=(100, 20000))
    >>> book = DoseBook(ExposureOptions(modes=[mode], flux=1e6, limit=3e7), beam={"sample_x": 0.1})
    >>> book.enter("1", {"sample_x": 3.0}, Exposure(frame_time_s=0.01, n_frames=2000, transmission=1.0))  # 20 s
    20000000.0
    >>> book.left({"sample_x": 3.05}), book.left({"sample_x": 3.2})  # on the same spot, and beside it
    (10000000.0, 30000000.0)
    """

    def __init__(
        self,
        options: ExposureOptions,
        beam: Mapping[str, float],
        knobs: Mapping[str, Knob] | None = None,
        path: Path | None = None,
    ) -> None:
        if unknown := [name for name in options.spot if name not in beam]:
            raise ValueError(f"exposure.spot: there is no knob {unknown[0]}, only {', '.join(beam)}")
        self.options, self._path, self._read_bytes = options, path, 0
        self._places = {name: knobs[name].values for name in beam if knobs and name in knobs and knobs[name].apart}
        self._apart = list(self._places)
        self._spot = [name for name in options.spot or beam if name not in self._apart]
        self._beam = np.array([beam[name] for name in self._spot])
        self._row: dict[str, int] = {}  # of each entry of this sample, by id
        self._open: dict[str, tuple[float, float]] = {}  # time and dose per second of those whose shutter is open
        self._low = self._high = np.empty((0, len(self._spot)))  # where the spots of each entry were
        self._holder = np.empty((0, len(self._apart)))
        self._dose, self._seconds = np.empty(0), np.empty(0)
        self._threads = threading.RLock()
        if path is not None:
            with self._locked():
                pass

    def __len__(self) -> int:
        return len(self._row)

    @property
    def seconds(self) -> float:
        """Beam time of all exposures of this sample."""
        return float(self._seconds.sum())

    @property
    def total(self) -> float:
        """Sum of the doses of all exposures of this sample."""
        with self._threads:
            return float(self._doses().sum())

    def dose_at(self, position: Mapping[str, float]) -> tuple[float, float]:
        """Return the dose of the spot at a position, and that of its whole sample."""
        with self._locked():
            return self._dose_at(position)

    def left(self, position: Mapping[str, float]) -> float:
        """Return the dose that the spot at a position may still get; 0 if none."""
        with self._locked():
            return self._left(position)

    def enter(self, id: str, position: Mapping[str, float], exposure: Exposure) -> float:
        """Enter an exposure that is about to be taken, and return its dose.

        Raises DoseError, and enters nothing, if it would pass a limit.
        """
        dose = self.options.dose(exposure)
        with self._locked():
            of_spot, of_sample = self._dose_at(position)
            for what, so_far, limit in (
                ("spot", of_spot, self.options.limit),
                ("sample", of_sample, self.options.limit_of_sample),
            ):
                if limit is not None and not so_far + dose <= limit * (1 + SLACK):
                    raise DoseError(
                        f"the {what} at {self._text(position)} has {so_far:.3g} {self.options.unit}, and "
                        f"{exposure.text} would add {dose:.3g}: that passes the limit of {limit:.3g}"
                    )
            self._write(
                id=id,
                t=time.time(),
                sample=self.options.sample,
                position={name: float(position[name]) for name in (*self._spot, *self._apart)},
                dose=dose,
                seconds=exposure.seconds,
            )
        return dose

    def opened(self, id: str, dose_per_s: float) -> None:
        """Enter that the shutter opens for an exposure."""
        with self._locked():
            self._write(id=id, open=time.time(), dose_per_s=dose_per_s)

    def moved(self, id: str, position: Mapping[str, float]) -> None:
        """Enter that an exposure ended at another position than it began: all spots between get its dose."""
        with self._locked():
            if id in self._row and not np.isnan(where := self._values(position)).any():
                row = self._row[id]
                if (np.abs(np.stack([self._low[row], self._high[row]]) - where) > STILL * self._beam).any():
                    self._write(id=id, until={name: float(position[name]) for name in self._spot})

    def took(self, id: str, dose: float) -> None:
        """Enter that the shutter is closed after an exposure.

        Its dose is raised to the real value, if that is larger; it is entered even beyond a limit.
        """
        with self._locked():
            if id in self._open or (id in self._row and dose > self._dose[self._row[id]]):
                self._write(id=id, dose=dose)

    def settle(self) -> None:
        """Enter that the shutter is closed, after the exposures whose process was killed or whose plan was halted."""
        with self._locked():
            doses = self._doses()
            for id in [*self._open]:
                self._write(id=id, dose=float(doses[self._row[id]]))

    def _text(self, position: Mapping[str, float]) -> str:
        return ", ".join(f"{name} = {position.get(name, np.nan):.6g}" for name in (*self._spot, *self._apart))

    def _dose_at(self, position: Mapping[str, float]) -> tuple[float, float]:
        spot, holder = self._values(position), self._holder_of(position)
        if not (np.isfinite(spot).all() and np.isfinite(holder).all()):
            raise DoseError(f"the dose at {self._text(position)} is not known")
        on_it = ~((self._holder < holder) | (self._holder > holder)).any(1)  # an entry without a knob counts anywhere
        beam = self._beam * (1 - SLACK)
        near = on_it & ~((self._low - spot >= beam) | (spot - self._high >= beam)).any(1)
        doses = self._doses()
        return float(doses[near].sum()), float(doses[on_it].sum())

    def _doses(self) -> NDArray[np.float64]:
        """Return the dose of each entry now."""
        doses = self._dose.copy()
        for id, (since, dose_per_s) in self._open.items():
            doses[self._row[id]] = max(doses[self._row[id]], (time.time() - since) * dose_per_s)
        return doses

    def _left(self, position: Mapping[str, float]) -> float:
        of_spot, of_sample = self._dose_at(position)
        whole = self.options.limit_of_sample
        left = min(self.options.limit - of_spot, np.inf if whole is None else whole - of_sample)
        return max(float(left), 0.0)

    def _values(self, position: Mapping[str, float]) -> NDArray[np.float64]:
        return np.array([float(position.get(name, np.nan)) for name in self._spot])

    def _holder_of(self, position: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the place of each knob that is apart: the value nearest to its readback."""
        given = {name: float(position.get(name, np.nan)) for name in self._apart}
        return np.array([
            min(self._places[name], key=lambda place, x=x: abs(place - x)) if np.isfinite(x) else x  # type: ignore[misc]
            for name, x in given.items()
        ])  # fmt: skip

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the book for other threads and processes, and take the entries of these."""
        with self._threads:
            if self._path is None:
                yield
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "a+b", opener=lambda path, flags: os.open(path, flags, 0o644)) as self._file:
                lock_file(self._file, waits=True)
                self._file.seek(self._read_bytes)
                for line in self._file.read().splitlines(keepends=True):
                    self._read_bytes += len(line)
                    try:
                        entry = json.loads(line)
                    except ValueError:  # a process was killed while it wrote: its shutter did not open
                        continue
                    self._take(entry)
                yield

    def _write(self, **entry: Any) -> None:
        if self._path is not None:
            size = self._file.seek(0, os.SEEK_END)
            self._file.seek(max(size - 1, 0))
            torn = size > 0 and self._file.read(1) != b"\n"
            line = b"\n" * torn + json.dumps(entry).encode() + b"\n"
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._read_bytes = size + len(line)
        self._take(entry)

    def _take(self, entry: Mapping[str, Any]) -> None:
        id = entry["id"]
        if "position" not in entry:
            if id in self._row:
                self._change(id, self._row[id], entry)
            return
        position = entry["position"]
        if entry["sample"] != self.options.sample:
            return
        self._row[id] = len(self._dose)
        self._low = np.vstack([self._low, self._values(position)])
        self._high = np.vstack([self._high, self._values(position)])
        self._holder = np.vstack([self._holder, self._holder_of(position)])
        self._dose = np.append(self._dose, entry["dose"])
        self._seconds = np.append(self._seconds, entry["seconds"])

    def _change(self, id: str, row: int, entry: Mapping[str, Any]) -> None:
        """Take the outcome of an exposure after it was entered."""
        if "open" in entry:
            self._open[id] = entry["open"], entry["dose_per_s"]
        elif "until" in entry:
            where = self._values(entry["until"])
            self._low[row], self._high[row] = np.minimum(self._low[row], where), np.maximum(self._high[row], where)
        else:
            self._open.pop(id, None)
            self._dose[row] = max(self._dose[row], entry["dose"])
