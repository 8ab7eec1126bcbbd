"""The detector: it flies, one frame an index, or is triggered, one exposure an index; the frames are the same.

Its settings and counters have the names of `ophyd.areadetector.cam.Lambda750kCam`. The driver, areaDetector's ADLambda,
has two settings that the class lacks: `energy_threshold` and `bad_frame_counter`. Choices are numbers, as those of the
driver, and may be set by their names.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ophyd import Component, Device, DeviceStatus, Signal
from ophyd.signal import InternalSignal
from ophyd.status import Status

from ainerd.dynamics import Dynamics
from sim_devices._basics import Quantity, SimClock
from sim_devices._beam import flicker, unlit
from sim_devices._frames import FrameFile, FrameMaker, StreamingDetector
from sim_devices._geometry import Geometry
from sim_devices._scattering import Motion, ScatteredMovie
from sim_devices._speckle import Grain, SpeckleMovie

SampleNow = Callable[[float, float, np.random.Generator], Dynamics | Motion]


FASTEST_HZ = 2000.0
IDLE, ACQUIRE, ERROR, ABORTED = 0, 1, 6, 10  # of areaDetector's states


class Choice(Signal):
    """A signal with named values; its value is the number of the choice.

    Parameters
    ----------
    enum_strs : tuple of str
        Names, simulated ones first.
    simulated : int
        Number of simulated choices; others are refused.
    """

    def __init__(self, *args: Any, enum_strs: tuple[str, ...], simulated: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.enum_strs, self._simulated = enum_strs, simulated

    def put(self, value: int | str, **kwargs: Any) -> None:
        """Choose by name or number."""
        super().put(self.enum_strs.index(value) if value in self.enum_strs else value, **kwargs)

    def check_value(self, value: Any, **kwargs: Any) -> None:
        """Raise ValueError if there is no such choice, or it is not simulated."""
        choices = self.enum_strs[: self._simulated]
        if value not in range(len(choices)):
            got = self.enum_strs[value] if value in range(len(self.enum_strs)) else value
            raise ValueError(f"{self.name} must be {' or '.join(choices)}, got {got}")

    def describe(self) -> dict[str, Any]:
        """Describe the signal, with the names of its values."""
        description = super().describe()
        description[self.name]["enum_strs"] = self.enum_strs
        return description


class Button(Signal):
    """A signal that is 1 while the detector acquires. Setting it to 1 starts like `kickoff`; setting it to 0 stops."""

    def put(self, value: int, *, force: bool = False, **kwargs: Any) -> None:
        """Start or stop; the detector itself uses `force` to show its state."""
        if force:
            super().put(value, force=True, **kwargs)
        elif value:
            self.parent.parent.kickoff()
        else:
            self.parent.parent.stop()

    def set(self, value: int, **kwargs: Any) -> Status:
        """Start or stop, without waiting for the end."""
        self.put(value)
        status = Status(self)
        status.set_finished()
        return status


def readout(value: Any, **kwargs: Any) -> Component:
    """Return a component that only the detector itself writes."""
    return Component(InternalSignal, value=value, **{"kind": "omitted", **kwargs})


class LambdaCam(Device):
    """Settings and counters.

    A period shorter than 1/2000 s is refused; an exposure longer than the period lasts as long as the period, as the
    detector counts without a pause. It counts to 4095 (12 bits, operating mode ContinuousReadWrite).
    """

    acquire = Component(Button, value=0, kind="omitted")
    acquire_time = Component(Quantity, value=0.1, units="s", limits=(1e-6, 3600), kind="config")
    acquire_period = Component(Quantity, value=0.1, units="s", limits=(1 / FASTEST_HZ, 3600), kind="config")
    num_images = Component(Quantity, value=500, units="", limits=(1, 10_000_000), kind="config")
    num_exposures = Component(Quantity, value=1, units="", limits=(1, 1), kind="config")
    image_mode = Component(Choice, value=1, enum_strs=("Single", "Multiple"), simulated=2, kind="config")
    trigger_mode = Component(
        Choice,
        value=0,
        enum_strs=("Internal", "External_SequencePer", "External_ImagePer", "Gating_Mode"),
        simulated=1,
        kind="config",
    )
    operating_mode = Component(
        Choice, value=0, enum_strs=("ContinuousReadWrite", "TwentyFourBit"), simulated=1, kind="config"
    )
    energy_threshold = Component(Quantity, value=5.5, units="keV", limits=(3, 40), kind="config")
    temperature = Component(Quantity, value=23.0, units="degC", kind="config")
    manufacturer = readout("X-Spectrum", kind="config")
    model = readout("Lambda 750K (simulated)", kind="config")
    serial_number = readout("0", kind="config")
    firmware_version = readout("0", kind="config")

    detector_state = readout(IDLE)
    status_message = readout("")
    array_counter = Component(Quantity, value=0, units="", kind="omitted")
    num_images_counter = readout(0)
    bad_frame_counter = readout(0)
    time_remaining = readout(0.0)

    @property
    def n_frames(self) -> int:
        """Number of images in an acquisition."""
        return int(self.num_images.get()) if self.image_mode.get() else 1

    @property
    def exposure_s(self) -> float:
        """Exposure time of each image."""
        return min(self.acquire_time.get(), self.acquire_period.get())

    def show_start(self) -> None:
        """Show the start of an acquisition."""
        self._show(detector_state=ACQUIRE, status_message="", num_images_counter=0, bad_frame_counter=0)
        self.acquire.put(1, force=True)

    def show_frames(self, n: int, bad: int) -> None:
        """Count `n` more frames, `bad` of which were lost before the file."""
        taken = self.num_images_counter.get() + n
        self.array_counter.put(self.array_counter.get() + n)
        self._show(
            num_images_counter=taken,
            bad_frame_counter=self.bad_frame_counter.get() + bad,
            time_remaining=(self.n_frames - taken) * self.acquire_period.get(),
        )

    def show_end(self, state: int, message: str = "") -> None:
        """Show the end of an acquisition."""
        self._show(detector_state=state, status_message=message, time_remaining=0.0)
        self.acquire.put(0, force=True)

    def _show(self, **values: Any) -> None:
        for name, value in values.items():
            getattr(self, name).put(value, internal=True)


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
    noise_rms : float
        Relative noise of the beam's intensity, independent from frame to frame.
    drift : float
        Relative growth of the beam over each exposure; below 0 it fades.
    unlit_share : float
        Share of the frames without beam; see `sim_devices._beam.unlit`. No document marks them.
    dark_hz : float
        Dark counts per pixel and second.
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
    open_file : callable, optional
        Returns the file of each staging, with the methods `append` and `close` and the attribute `path` of `FrameFile`;
        by default a `FrameFile` in `directory`.
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
        noise_rms: float = 0.0,
        drift: float = 0.0,
        unlit_share: float = 0.0,
        dark_hz: float = 0.0,
        lost_share: float = 0.0,
        dropped_share: float = 0.0,
        names_numbers: bool = False,
        transmission: Callable[[], float] = lambda: 1.0,
        open_file: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.geometry, self.count_rate, self.contrast, self.speckle_px = geometry, count_rate, contrast, speckle_px
        if not abs(drift) < 2:
            raise ValueError(f"drift must lie between -2 and 2, so that there is a beam throughout, got {drift}")
        self.flicker_rms, self.noise_rms, self.drift = flicker_rms, noise_rms, drift
        self.unlit_share, self.dark_hz, self.lost_share = unlit_share, dark_hz, lost_share
        self.dropped_share, self.names_numbers = dropped_share, names_numbers
        self._directory, self._clock, self._seed = Path(directory), clock, seed
        self._sample_now, self._transmission = sample_now, transmission
        self._exposures = 0
        self._open_file = open_file or self._new_file
        self._file: Any = None
        self._thread: threading.Thread | None = None
        self._stop, self._enough = threading.Event(), False
        self._status: DeviceStatus | None = None
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
            self._enough = success
            self._stop.set()
        super().stop(success=success)

    def trigger(self) -> DeviceStatus:
        """Take `cam.num_images` frames as one index; RuntimeError if the detector drops frames."""
        if self.dropped_share:
            raise RuntimeError(f"{self.name} drops frames, so that no exposure would be complete: fly it")
        return self._begin(self.cam.n_frames)

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
        if self._frames_per_index not in (None, frames_per_index) or self._written % frames_per_index:
            raise RuntimeError(
                f"{self.name} cannot change num_images, change between flying and triggering, or go on after an "
                "unfinished exposure while staged"
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
            status.set_finished()

    def _acquire(self, file: Any) -> None:
        n_frames, exposure_s, maker = self.cam.n_frames, self.cam.exposure_s, self._maker
        self._exposures += 1
        seeds = np.random.default_rng((self._seed, self._exposures)).spawn(7)
        sample, beam, speckle, photons, losses, unsteady, drops = seeds
        began, start_s = self._clock.now(), np.arange(n_frames) * self.cam.acquire_period.get()
        seen = self._sample_now(began, n_frames * self.cam.acquire_period.get(), sample)
        movie = self._movie(seen, start_s + exposure_s / 2, speckle)
        level = self.count_rate * exposure_s * flicker(start_s, exposure_s, self.flicker_rms, beam)
        level *= 1 + self.drift * (np.arange(n_frames) + 0.5 - n_frames / 2) / n_frames
        level *= (1 + self.noise_rms * unsteady.standard_normal(n_frames)).clip(min=0)
        level[unlit(n_frames, self.unlit_share, unsteady)] = 0
        if self.cam.energy_threshold.get() >= self.geometry.energy_keV:
            level[:] = 0
        lost = losses.random(n_frames) < self.lost_share
        kept, before = drops.random(n_frames) >= self.dropped_share, self._n_taken
        taken = counted = 0
        for intensity in movie.blocks():
            rows = slice(taken, taken + len(intensity))
            now = level[rows] * self._transmission()
            counts = maker.count(intensity, now, exposure_s, photons)
            counts[lost[rows]] = 0
            chunks = maker.encode(counts, now, exposure_s, photons, lost=lost[rows])
            taken += len(chunks)
            counted += int(counts.sum())
            ahead = began + taken * self.cam.acquire_period.get() - self._clock.now()
            if self._stop.wait(max(self._clock.wall(ahead), 0)):
                if self._enough:
                    return
                raise AcquisitionStopped(f"{self.name} was stopped after {taken - len(chunks)} of {n_frames} frames")
            some = np.flatnonzero(kept[rows])
            numbers = before + rows.start + some + 1
            file.append([chunks[i] for i in some], began + start_s[rows][some], numbers)
            self._written += len(some)
            self._n_taken += len(chunks)
            self.cam.show_frames(len(chunks), int(lost[rows].sum()) + len(chunks) - len(some))
        self.mean_counts.put(counted / (n_frames * maker.ring.size))

    def _movie(
        self, seen: Dynamics | Motion, t_s: NDArray[np.float64], rng: np.random.Generator
    ) -> SpeckleMovie | ScatteredMovie:
        if not isinstance(seen, Dynamics):
            size = float(np.mean(self.speckle_px))
            return ScatteredMovie(seen, t_s, self.geometry, contrast=self.contrast, rng=rng, speckle_px=size)
        return SpeckleMovie(seen, t_s, self._phi_deg, contrast=self.contrast, rng=rng, grain=self._grain)

    @cached_property
    def _maker(self) -> FrameMaker:
        return FrameMaker(self.geometry, self.dark_hz)

    @cached_property
    def _phi_deg(self) -> NDArray[np.float64]:
        """Azimuths of the ring's pixels."""
        return self.geometry.phi_deg.ravel()[self._maker.ring]

    @cached_property
    def _grain(self) -> Grain:
        return Grain(self.geometry.ring, self.geometry.frame_shape, self.speckle_px)

    def describe(self) -> dict[str, Any]:
        """Describe the data of a trigger: the frames of a whole exposure, and their mean."""
        return {**super().describe(), **self.describe_image(self.cam.n_frames, *self.geometry.frame_shape)}

    def describe_collect(self) -> dict[str, dict[str, Any]]:
        """Describe the data of flying: single frames."""
        return self.describe_image(1, *self.geometry.frame_shape)
