"""The numbers that the events of a run hold, with their times."""

import heapq
import logging
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from event_model.documents import DataKey, Event

from ainerd.documents._detector import number_in, unit_in
from ainerd.documents._storage import FrameError
from ainerd.units import UnitError, converted, same_unit

logger = logging.getLogger(__name__)

CLOCKS_S = 1.0  # between a time stamp and the time of its event, beyond which they are of different clocks


class Reading(NamedTuple):
    """A number that an event holds: its time in seconds since the epoch, and the stream and number of the event."""

    time: float
    value: float
    stream: str
    number: int


class ScalarReadings:
    """All scalar numbers of the events of a run.

    Parameters
    ----------
    wanted : mapping of str to str
        Units by data key. Readings in other units are converted.

    Attributes
    ----------
    times : dict
        Time of each event, by its stream and number.
    """

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self._wanted, self._units = wanted, dict(wanted)  # units in the settings, and of the readings
        self._by_key: dict[str, list[Reading]] = defaultdict(list)
        self._other_clocks: set[str] = set()  # readings whose time stamps are not those of the documents' clock
        self._in_order = dict[str, list[Reading]]()  # those of a key that were asked for last
        self.times: dict[tuple[str, int], float] = {}

    def of(self, key: str, unit: str = "") -> list[Reading]:
        """Return the readings of a data key: those of each stream by the numbers of its events, streams by time.

        They are converted to `unit`, or else to the wanted one; UnitError, which names the key, if that is impossible.
        """
        given, readings = self._by_key.get(key, []), self._in_order.get(key, [])
        if len(given) != len(readings):
            streams: dict[str, list[Reading]] = defaultdict(list)
            for reading in sorted(given, key=lambda each: each.number):
                streams[reading.stream].append(reading)
            readings = self._in_order[key] = [*heapq.merge(*streams.values(), key=lambda each: each.time)]
        own, unit = self._units.get(key, ""), unit or self._wanted.get(key, "")
        if not (unit and own) or own == unit or same_unit(own, unit):
            return readings
        try:
            values = converted(np.array([x.value for x in readings]), own, unit).tolist()
        except UnitError as error:
            raise UnitError(f"the reading {key!r}: {error}") from None
        return [x._replace(value=value) for x, value in zip(readings, values, strict=True)]

    def describe(self, data_keys: Mapping[str, DataKey]) -> None:
        """Note which readings are in another unit than the one wanted; FrameError if one cannot be converted."""
        for key in data_keys:
            wanted = self._wanted.get(key, "")
            unit = unit_in(data_keys, key) or self._units.get(key, "")
            self._units[key] = wanted if wanted and same_unit(unit, wanted) else unit
            try:
                converted(1.0, unit, wanted)
            except UnitError as error:
                raise FrameError(f"the reading {key!r}: {error}, the unit in the settings") from None

    def take(self, stream: str, number: int, doc: Event) -> None:
        """Keep the numbers of an event. Of an event that is taken again the first readings count."""
        if (stream, number) in self.times:
            return
        data, timestamps = doc.get("data") or {}, doc.get("timestamps") or {}
        read_at = self.times[stream, number] = number_in(doc.get("time")) or 0.0
        for key, value in data.items():
            if (scalar := number_in(value)) is not None:
                at = self._time_of(key, number_in(timestamps.get(key)), read_at)
                self._by_key[key].append(Reading(at, scalar, stream, number))

    def _time_of(self, key: str, stamp: float | None, read_at: float) -> float:
        """Return the time of a reading: its time stamp, or the time of its event if their clocks differ.

        A time stamp comes from the machine of the device, whose offset is not known; an old one is the time when the
        value last changed. Either way the value was read when the event says it was.
        """
        if stamp is None or math.isnan(stamp):  # the schema allows anything as a time
            return read_at
        if read_at and abs(stamp - read_at) > CLOCKS_S:
            if stamp > read_at and key not in self._other_clocks:
                logger.warning(
                    "the clock of %r is %.3g s ahead of that of the documents: its readings have the times of their "
                    "events", key, stamp - read_at,
                )  # fmt: skip
            self._other_clocks.add(key)
        return read_at if key in self._other_clocks and read_at else stamp
