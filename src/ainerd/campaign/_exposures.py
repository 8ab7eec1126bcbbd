"""The exposures of a campaign: the settings of each suggestion, and the spots that are measured again."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ainerd.config import Settings
from ainerd.dose import DoseBook, Known, Proposer
from ainerd.knobs import Exposure, ExposureOptions
from ainerd.steering import Window
from ainerd.technique import Outcome

NAMES = ("frame_time_s", "n_frames", "transmission")


class ExposureChoice:
    """Adds frame time, number of frames and transmission to suggestions.

    Parameters
    ----------
    options : ExposureOptions
    window : Window
    smallest, beam_size : float
        Radius of the smallest region, and size of the beam, as in `ainerd.steering.Explorer`.
    book : DoseBook
    """

    def __init__(
        self, options: ExposureOptions, window: Window, smallest: float | None, beam_size: float, book: DoseBook
    ) -> None:
        self.options, self.book, self._window = options, book, window
        smallest = smallest or (1.0 if window.has_lengths else 0.1 * window.width)
        self._proposer = Proposer(options, 1.5 * smallest, beam_size)
        self._given: dict[str, Exposure] = {}  # by id of the suggestion
        self._known: set[str] = set()  # keys of results
        self._last: dict[str, float] | None = None  # position of the newest result; None once it was proposed again

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Learn how fast exposures change."""
        for outcome in outcomes:
            has_position = set(self._window.names) <= {*outcome.positions}
            if outcome.pace is None or outcome.key in self._known or not has_position:
                continue
            self._known.add(outcome.key)
            exposure = self._given.get(outcome.trial_id)
            self._proposer.learn(Known(self._place(outcome.positions), outcome.pace, exposure))
            self._last = {name: outcome.positions[name] for name in self._window.names}

    def again(self) -> dict[str, Any] | None:
        """Return the spot of the newest result, with the reason, if it is worth another exposure; None if not.

        It is returned once, so that a person can reject it.
        """
        spot, self._last = self._last, None
        if spot is None or (why := self._proposer.again(self._place(spot))) is None:
            return None
        if self._proposer.propose(self._place(spot), self.book.left(spot)) is None:
            return None
        return {**spot, "reason": f"here again, because {why}"}

    def completed(self, suggestion: Mapping[str, Any]) -> dict[str, Any]:
        """Return a suggestion with its exposure as terms; ValueError if no dose is left for one."""
        given = dict(suggestion)
        if not set(NAMES) <= set(given):
            position = {name: float(given[name]) for name in self._window.names}
            proposed = self._proposer.propose(self._place(position), self.book.left(position))
            if proposed is None:
                raise ValueError(f"no dose is left for an exposure at {self._window.text(self._place(position))}")
            exposure, why = proposed
            given |= {name: float(getattr(exposure, name)) for name in NAMES}
            given["reason"] = f"{given.get('reason') or ''}; {exposure.text}, {why}".removeprefix("; ")
        return given

    def is_exposed(self, position: Mapping[str, float]) -> bool:
        """Return whether the spot at a position has got dose."""
        return self.book.dose_at(position)[0] > 0

    def give(self, id: str, suggestion: Mapping[str, Any]) -> None:
        """Remember the exposure of a suggestion that is handed out."""
        if set(NAMES) <= set(suggestion):
            self._given[id] = exposure_of(suggestion)

    def took(self, id: str, exposure: Exposure) -> None:
        """Take the settings with which a suggestion was really measured."""
        self._given[id] = exposure

    def _place(self, position: Mapping[str, float]) -> Any:
        return self._window.position(np.array([float(position[name]) for name in self._window.names]))


def book_of(settings: Settings) -> DoseBook | None:
    """Return the doses of the samples of these settings, in the file ``dose.jsonl`` of the storage; None without."""
    steering, options = settings.steering, settings.steering.exposure
    if options is None or steering.beam_size is None:
        return None
    lengths = {name: knob.length or 1.0 for name, knob in steering.knobs.items()}
    beam = {name: steering.beam_size * lengths.get(name, 1.0) for name in steering.bounds}
    return DoseBook(options, beam, steering.knobs, settings.storage.directory / "dose.jsonl")


def exposure_of(suggestion: Mapping[str, Any]) -> Exposure:
    """Return the exposure of a completed suggestion."""
    frame_time_s, n_frames, transmission = (float(suggestion[name]) for name in NAMES)
    return Exposure(frame_time_s, round(n_frames), transmission)
