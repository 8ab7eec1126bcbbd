"""What a person has a say in at the prompt: the next point, where not to go, when to wait, what a regime is called."""

from __future__ import annotations  # so that IPython's ? shows types as they are written here

from collections.abc import Mapping, Sequence
from typing import Any

from ainerd.agent._state import StateWriter
from ainerd.campaign import Campaign


class ByHand:
    """The part of an agent that people steer with."""

    _campaign: Campaign
    _state: StateWriter

    def suggest(self) -> dict[str, Any]:
        """Where to measure next, and why; ValueError if no position is left. Asking changes nothing."""
        return self._campaign.peek()

    def accept(self) -> dict[str, Any]:
        """Take the suggestion, to measure it by hand: position, reason and ``_id``.

        A run with ``suggestion_id=suggestion["_id"]`` among its metadata is known to have measured it.
        """
        return self._campaign.accept()

    def reject(self, reason: str) -> dict[str, Any]:
        """Turn the suggestion down; returns the next one."""
        return self._campaign.reject(reason)

    def add(self, *position: float, reason: str = "asked for by a person", **by_name: float) -> dict[str, Any]:
        """Measure here next: ``agent.add(3.0, 7.0)`` or ``agent.add(sample_x=3.0, sample_y=7.0, reason="a scratch")``.

        Raises
        ------
        ValueError
            If it is not one number for each actuator, or the position lies outside the bounds or in an excluded region.
        """
        return self._campaign.add(self._position(position, by_name), reason)

    def exclude_border(self, width: float) -> dict[str, Any]:
        """Never suggest a position within `width` of the bounds, in the actuators' unit: ``agent.exclude_border(1.0)``.

        Returns the next suggestion. ``agent.excluded`` has the boxes, which may be set.

        Raises
        ------
        ValueError
            If that is no width, or nothing would be left.
        """
        narrowest = min(high - low for low, high in self.bounds.values())
        if not isinstance(width, int | float) or not 0 < width < narrowest / 2:
            raise ValueError(
                f"a border is wider than 0 and narrower than {narrowest / 2:g}, half of the bounds, got {width}"
            )
        sides = [
            {name: side}
            for name, (low, high) in self.bounds.items()
            for side in ((low, low + width), (high - width, high))
        ]
        self.excluded = [*self.excluded, *sides]
        return self.suggest()

    def exclude(self, reason: str = "asked for by a person", **region: tuple[float, float]) -> dict[str, Any]:
        """Never suggest a position in a box again: ``agent.exclude("a crack", sample_x=(2, 3), sample_y=(0, 4))``.

        An actuator that is left out is not limited. Returns the next suggestion.

        Raises
        ------
        ValueError
            If a name is not an actuator's, or a limit makes no sense.
        """
        return self._campaign.exclude(region, reason)

    def hold(self, reason: str = "") -> None:
        """Have plans take no new suggestion until `release`: ``agent.hold("the beam is weak")``."""
        self._campaign.hold(reason)
        self._state.changed()

    def release(self) -> None:
        """Let plans that wait go on, whoever held them."""
        self._campaign.release()
        self._state.changed()

    def name_regime(self, regime: int, name: str) -> None:
        """Call a regime so on the pages: ``agent.name_regime(1, "gel")``; no name takes it away.

        ValueError if there is no such regime.
        """
        self._campaign.name_regime(regime, name)
        self._state.changed()

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Limits of the actuators; they may be set, and what was found stays known."""
        return self._campaign.bounds

    @bounds.setter
    def bounds(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        self._campaign.bounds = dict(bounds)

    @property
    def excluded(self) -> list[dict[str, tuple[float, float]]]:
        """Boxes that are never suggested; they may be set: ``agent.excluded = []`` lifts all."""
        return self._campaign.excluded

    @excluded.setter
    def excluded(self, regions: Sequence[dict[str, tuple[float, float]]]) -> None:
        self._campaign.excluded = list(regions)

    def _position(self, numbers: Sequence[float], by_name: Mapping[str, float]) -> dict[str, float]:
        """A position that is given by numbers or by names."""
        names = self._campaign.names
        if by_name and (numbers or set(by_name) != set(names)):
            raise ValueError(f"a position has {', '.join(names)}, got {', '.join([*map(str, numbers), *by_name])}")
        return self._campaign.position([by_name[name] for name in names] if by_name else numbers)
