"""The detector: it flies, one frame an index, or is triggered, one exposure an index; the frames are the same."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component
from ophyd.status import DeviceStatus, Status

from ainerd_xpcs.dynamics import Dynamics
from sim_devices._basics import Quantity, SimClock
from sim_devices._beam import flicker
from sim_devices._frames import FrameFile, FrameMaker, StreamingDetector
from sim_devices._geometry import Geometry
from sim_devices._lambda_cam import ABORTED, ERROR, IDLE, LambdaCam
from sim_devices._recording import Recording
from sim_devices._scattering import Motion, ScatteredMovie
from sim_devices._speckle import Grain, SpeckleMovie, mode_weights

SampleNow = Callable[[float, float, np.random.Generator], Dynamics | Motion]


class AcquisitionStopped(Exception):
    """The acquisition was stopped before its last frame."""


class Lambda750k(StreamingDetector):
    """A photon-counting detector that writes its frames to HDF5 and reports them as a Bluesky stream.

    Fly it (`kickoff`, `complete`, `collect`), or `trigger` it as in ``bp.count``. One file per staging, written in
    blocks of frames; an index is reported once its frames can be read. Frames come as soon as they are made, but not
    before their time on the simulated clock.

    Counts are Poisson's; a pixel has a non-paralysable dead time of 1 µs, and saturates at 4095. Dynamics are those in
    the middle of each exposure, without blur. The file also holds times and a mask of the bad pixels; see `FrameFile`.

    Parameters
    ----------
    directory : Path
        Folder of the files.
    geometry : Geometry
    clock : SimClock
    sample_now : callable
        ``sample_now(now_s, duration_s, rng)`` returns the `Dynamics` or `Motion` in the beam; it is called at the start
        of an acquisition, with the time on the clock.
    seed : int
        The same seed, settings and dynamics give the same frames.
    count_rate : float
        Mean photons per pixel and second in the ring, at full transmission.
    contrast : float
        beta of the speckle, background included.
    speckle_px : (float, float)
        Size of the speckles in rows and columns; see `sim_devices._speckle.Grain`.
    flicker_rms : float
        Relative flicker of the beam's intensity; see `sim_devices._beam.flicker`.
    lost_share : float
        Share of the frames that are lost between detector and file. They are zeros, and `cam.bad_frame_counter` counts
        them.
    dropped_share : float
        Share of the frames that the detector drops: they are not in the file, and no document marks them, but the
        numbers of the others skip theirs. A detector that drops frames can only fly.
    names_numbers : bool
        Whether documents name the dataset of the numbers, as the stream ``NAME_frame_number``.
    transmission : callable
        Returns the share of the beam that passes shutter and attenuators; called before each block of frames.
    triggered : callable
        ``triggered(now_s)`` returns when the first frame of an acquisition begins that is started now.
    open_file : callable, optional
        Returns the file of each staging, with the methods `append` and `close` and the attribute `path` of `FrameFile`,
        and `cut` if the detector is triggered; by default a `FrameFile` in `directory`.

    Attributes
    ----------
    recording : Recording or None
        Frames that the detector gives in place of simulated ones, whatever is in the beam.
    """

    cam = Component(LambdaCam, "cam1:", kind="config")
    mean_counts = Component(Quantity, value=0.0, units="photons/pixel/frame", kind="hinted")

    def __init__(
        self,
        prefix: str = "",
        *,
        name: str,
        directory: Path,
        geometry: Geometry,
        clock: SimClock,
        sample_now: SampleNow,
        seed: int = 0,
        count_rate: float = 5.0,
        contrast: float = 0.2,
        speckle_px: tuple[float, float] = (0.8, 0.8),
        flicker_rms: float = 0.02,
        lost_share: float = 0.0,
        dropped_share: float = 0.0,
        names_numbers: bool = False,
        transmission: Callable[[], float] = lambda: 1.0,
        triggered: Callable[[float], float] = lambda now_s: now_s,
        open_file: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        mode_weights(contrast)  # ValueError if there is no such contrast
        for option, value, most in (
            ("count_rate", count_rate, np.inf), ("lost_share", lost_share, 1), ("dropped_share", dropped_share, 1)
        ):  # fmt: skip
            if not 0 <= value <= most:
                raise ValueError(f"{option} must lie between 0 and {most}, got {value}")
        self.geometry, self.count_rate, self.contrast, self.speckle_px = geometry, count_rate, contrast, speckle_px
        self.flicker_rms, self.lost_share, self.dropped_share = flicker_rms, lost_share, dropped_share
        self.names_numbers = names_numbers
        self._directory, self._clock, self._seed = Path(directory), clock, seed
        self._sample_now, self._transmission, self._triggered = sample_now, transmission, triggered
        self._exposures = 0
        self._open_file = open_file or self._new_file
        self._file: Any = None
        self._thread: threading.Thread | None = None
        self._stop, self._ends_well = threading.Event(), False
        self._status: DeviceStatus | None = None
        self.recording: Recording | None = None
        super().__init__(prefix, name=name, **kwargs)

    def stage(self) -> list[object]:
        """Open a new file."""
        staged = super().stage()
        self._file = self._open_file()
        self.restart(self._file.path, 1, 1, *self.geometry.frame_shape)
        self._frames_per_index = self._status = None
        self._n_taken = 0  # frames, with dropped ones
        return staged

    def _new_file(self) -> Any:
        return FrameFile(self._directory, self.name, self.geometry.pixel_mask)

    def unstage(self) -> list[object]:
        """Stop an acquisition without failing its status, since its plan has ended, and close the file."""
        self.stop(success=True)
        if self._thread is not None:
            self._thread.join()
        if self._file is not None:
            self._file.close()
            self._file = None
        return super().unstage()

    def stop(self, *, success: bool = False) -> None:
        """Stop the acquisition; its status fails unless `success`."""
        if not self._stop.is_set():
            self._ends_well = success
            self._stop.set()
        super().stop(success=success)

    def trigger(self) -> DeviceStatus:
        """Take `cam.num_images` frames as one index; RuntimeError if the detector drops frames.

        An exposure that no document has announced is given up: after a pause a RunEngine triggers again.
        """
        if self.dropped_share:
            raise RuntimeError(f"{self.name} drops frames, so that no exposure would be complete: fly it")
        if self._frames_per_index == self.cam.n_frames:
            self._give_up()
        return self._begin(self.cam.n_frames)

    def _give_up(self) -> None:
        """Stop the acquisition, and remove the frames that no document has announced; its status never ends."""
        self._status = None
        self.stop(success=True)
        if self._thread is not None:
            self._thread.join()
        announced = self._reported * (self._frames_per_index or 1)
        if self._file is not None and self._written > announced:
            self._file.cut(announced)
            self._written = self._n_taken = announced

    def kickoff(self) -> Status:
        """Start taking `cam.num_images` frames, each an index."""
        self._begin(1)
        started = Status()
        started.set_finished()
        return started

    def complete(self) -> DeviceStatus:
        """Return the status of the acquisition that was kicked off."""
        if self._status is None:
            raise RuntimeError(f"{self.name} has not been kicked off since it was staged")
        return self._status

    def _begin(self, frames_per_index: int) -> DeviceStatus:
        if self._file is None:
            raise RuntimeError(f"{self.name} has no open file: stage it, and again after a failure")
        if self._status is not None and not self._status.done:
            raise RuntimeError(f"{self.name} is acquiring already")
        if self._frames_per_index not in (None, frames_per_index):
            raise RuntimeError(
                f"{self.name} cannot change num_images, or change between flying and triggering, while staged"
            )
        self._frames_per_index = frames_per_index
        self._stop.clear()
        self.cam.show_start()
        self._status = DeviceStatus(self)
        self._thread = threading.Thread(target=self._run, args=(self._status, self._file), daemon=True)
        self._thread.start()
        return self._status

    def _run(self, status: DeviceStatus, file: Any) -> None:
        try:
            self._acquire(file)
        except Exception as error:
            self._file = None
            with suppress(OSError, RuntimeError):  # a full disk refuses this too
                file.close()
            self.cam.show_end(ABORTED if isinstance(error, AcquisitionStopped) else ERROR, str(error))
            status.set_exception(error)
        else:
            self.cam.show_end(IDLE)
            if status is self._status:
                status.set_finished()

    def _acquire(self, file: Any) -> None:
        n_frames, period = self.cam.n_frames, self.cam.acquire_period.get()
        self._exposures += 1
        *seeds, _, drops = np.random.default_rng((self._seed, self._exposures)).spawn(7)
        began, start_s = self._triggered(self._clock.now()), np.arange(n_frames) * period
        kept, before = drops.random(n_frames) >= self.dropped_share, self._n_taken
        made = self.recording.blocks(n_frames) if self.recording else self._simulated(began, start_s, seeds)
        taken = counted = 0
        for chunks, n_photons, n_lost in made:
            rows = slice(taken, taken + len(chunks))
            ahead = began + rows.stop * period - self._clock.now()
            if self._stop.wait(max(self._clock.wall(ahead), 0)):
                if self._ends_well:
                    break
                raise AcquisitionStopped(f"{self.name} was stopped after {taken} of {n_frames} frames")
            taken = rows.stop
            counted += n_photons
            some = np.flatnonzero(kept[rows])
            numbers = before + rows.start + some + 1
            file.append([chunks[i] for i in some], began + start_s[rows][some], numbers)
            self._written += len(some)
            self._n_taken += len(chunks)
            self.cam.show_frames(len(chunks), n_lost + len(chunks) - len(some))
        self.mean_counts.put(counted / (max(taken, 1) * self.geometry.ring.size))

    def _simulated(
        self, began: float, start_s: NDArray[np.float64], seeds: Sequence[np.random.Generator]
    ) -> Iterator[tuple[list[bytes], int, int]]:
        """Yield blocks of frames: their chunks, their photons in the ring, and how many of them are lost."""
        n_frames, exposure_s, maker = len(start_s), self.cam.exposure_s, self._maker
        sample, beam, speckle, photons, losses = seeds
        seen = self._sample_now(began, n_frames * self.cam.acquire_period.get(), sample)
        movie = self._movie(seen, start_s + exposure_s / 2, speckle)
        level = self.count_rate * exposure_s * flicker(start_s, exposure_s, self.flicker_rms, beam)
        if self.cam.energy_threshold.get() >= self.geometry.energy_keV:
            level[:] = 0
        lost, taken = losses.random(n_frames) < self.lost_share, 0
        for intensity in movie.blocks():
            rows = slice(taken, taken + len(intensity))
            now = level[rows] * self._transmission()
            counts = maker.count(intensity, now, exposure_s, photons)
            counts[lost[rows]] = 0
            chunks = maker.encode(counts, now, exposure_s, photons, lost=lost[rows])
            yield chunks, int(counts.sum()), int(lost[rows].sum())
            taken += len(intensity)

    def _movie(
        self, seen: Dynamics | Motion, t_s: NDArray[np.float64], rng: np.random.Generator
    ) -> SpeckleMovie | ScatteredMovie:
        if not isinstance(seen, Dynamics):
            size = float(np.mean(self.speckle_px))
            return ScatteredMovie(seen, t_s, self.geometry, contrast=self.contrast, rng=rng, speckle_px=size)
        return SpeckleMovie(seen, t_s, contrast=self.contrast, rng=rng, **self._pixels)

    @cached_property
    def _maker(self) -> FrameMaker:
        return FrameMaker(self.geometry)

    @cached_property
    def _pixels(self) -> dict[str, Any]:
        """Azimuths, relative q and speckles of the ring's pixels, for `SpeckleMovie`."""
        geometry, ring = self.geometry, self.geometry.ring
        q = geometry.q_inv_nm.ravel()[ring]
        grain = Grain(ring, geometry.frame_shape, self.speckle_px)
        return {"phi_deg": geometry.phi_deg.ravel()[ring], "q_ratio": q / q.mean(), "grain": grain}

    def describe(self) -> dict[str, Any]:
        """Describe the data of a trigger: the frames of a whole exposure, and their mean."""
        return {**super().describe(), **self.describe_image(self.cam.n_frames, *self.geometry.frame_shape)}

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Describe the data of flying: single frames."""
        return self.describe_image(1, *self.geometry.frame_shape)
