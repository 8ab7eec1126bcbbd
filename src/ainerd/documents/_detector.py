"""The detector as a descriptor describes it. Each value is checked here, where it enters."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from event_model.documents import DataKey, EventDescriptor

from ainerd.config import Detector, short
from ainerd.documents._numbering import MOST_NUMBER
from ainerd.documents._storage import FrameError
from ainerd.units import UnitError, converted, stated

LARGEST = 2**20  # rows or columns of a frame
# Ends of the keys of areaDetector that say whether a number of frames counts. If frames come until somebody stops the
# detector ("Continuous" of the camera, "Stream" of the file), 1 is only the value that it had before.
# Any other number counts: the driver of Pilatus begins in "Continuous", ignores the mode and takes NumImages frames.
MODES = "image_mode", "file_write_mode"
UNTIL_STOPPED = "2", "continuous", "stream"


@dataclass(frozen=True)
class Described:
    """The detector of a run.

    Attributes
    ----------
    shape : tuple of int
        Shape of an index: (ny, nx), or (n, ny, nx) for n frames.
    n_frames : int or None
        Frames of an exposure; None if no number is configured, or 0, which means "without limit".
    frame_time_s : float or None
        Time from frame to frame; None if it is not configured.
    flies : bool
        Whether the stream of the frames contains only frames, so that its events do not group them.
    """

    shape: tuple[int, ...]
    n_frames: int | None
    frame_time_s: float | None
    flies: bool

    @classmethod
    def of(cls, descriptor: EventDescriptor, keys: Detector) -> "Described":
        """Check a descriptor. FrameError names the key whose value cannot be used."""
        data_keys = descriptor["data_keys"]
        if odd := [name for name, about in data_keys.items() if not isinstance(about, Mapping)]:
            raise FrameError(f"the data key {odd[0]!r} is described by {short(data_keys[odd[0]])}")
        return cls(
            shape=_shape(data_keys[keys.image], keys.image),
            n_frames=_n_frames(descriptor, keys),
            frame_time_s=_frame_time_s(descriptor, keys),
            flies=all("external" in about for about in data_keys.values()),
        )


UNDESCRIBED = Described(shape=(), n_frames=None, frame_time_s=None, flies=False)


def unit_in(data_keys: object, key: str) -> str:
    """Return the unit that a document states for a data key; an empty text without one."""
    about = data_keys.get(key) if isinstance(data_keys, Mapping) else None
    return stated(about.get("units")) if isinstance(about, Mapping) else ""


def whole_number(value: object, what: str, *, least: int = 0) -> int:
    """Return a whole number from `least` to `MOST_NUMBER`; FrameError, which names `what`, for any other value."""
    number = number_in(value)
    if number is None or number != number // 1 or not least <= number <= MOST_NUMBER:
        raise FrameError(f"{what} is {short(value)}, expected a whole number from {least} to {MOST_NUMBER}")
    return int(number)


def _shape(about: DataKey, key: str) -> tuple[int, ...]:
    shape = about.get("shape")
    given = [*shape] if isinstance(shape, list | tuple | np.ndarray) else []
    if len(given) == 3 and (given[0] is None or number_in(given[0]) in (0, -1)):
        del given[0]  # frames without limit, or ophyd's depth of one plane
    sizes = [number_in(n) for n in given]
    if len(sizes) not in (2, 3) or not all(n is not None and 1 <= n <= LARGEST and n == n // 1 for n in sizes):
        raise FrameError(f"the shape of {key!r} is {short(shape)}, expected (ny, nx) or (frames, ny, nx)")
    return tuple(int(n) for n in sizes if n is not None)


def _n_frames(descriptor: EventDescriptor, keys: Detector) -> int | None:
    if not keys.n_frames:
        return None
    value, device, _ = _configured(descriptor, keys.n_frames, keys.image)
    n = whole_number(value, f"the configuration {keys.n_frames!r}", least=-1)
    modes = [str(value).lower() for key, value in device.items() if str(key).endswith(MODES)]
    is_without_limit = any(mode in UNTIL_STOPPED for mode in modes)
    return None if n < 1 or (n == 1 and is_without_limit) else n


def _frame_time_s(descriptor: EventDescriptor, keys: Detector) -> float | None:
    if not keys.frame_time_s:
        return None
    value, _, unit = _configured(descriptor, keys.frame_time_s, keys.image)
    seconds, what = number_in(value), f"the configuration {keys.frame_time_s!r}"
    try:
        seconds = None if seconds is None else float(converted(seconds, unit, "s"))
    except UnitError as error:
        raise FrameError(f"{what}: {error}") from None
    if seconds is None or not 0 < seconds < np.inf:
        raise FrameError(f"{what} is {short(value)}, expected a positive time in s")
    return seconds


def _configured(descriptor: EventDescriptor, key: str, image: str) -> tuple[object, Mapping[str, object], str]:
    """Return a value of the configuration, all values of its device, and the unit of the value."""
    devices = descriptor.get("configuration")
    for device in devices.values() if isinstance(devices, Mapping) else ():
        values = device.get("data") if isinstance(device, Mapping) else None
        if isinstance(values, Mapping) and key in values:
            return values[key], values, unit_in(device.get("data_keys"), key)
    raise FrameError(f"the descriptor of {image!r} has no configuration {key!r}")


def number_in(value: object) -> float | None:
    """Return a number as a float, also one of numpy; None for any other value."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    return float(value)
