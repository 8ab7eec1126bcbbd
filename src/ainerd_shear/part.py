"""The part of rheo-XPCS for runs in which the rheometer oscillates: echoes, moduli and a verdict."""

from dataclasses import replace

from ainerd.technique import RunInfo
from ainerd_shear._cycles import Cycles
from ainerd_shear._numbers import DIMS, TEXTS, UNITS, cycle_numbers
from ainerd_shear._settings import CyclesSettings
from ainerd_shear._verdict import FEWEST, judge_cycles, seen, with_cycles
from ainerd_xpcs.numerics import Screened
from ainerd_xpcs.technique import Correlated, Part, RheoXPCS, Share, prepare

__all__ = ["DIMS", "TEXTS", "UNITS", "CyclesSettings", "CyclicShear", "cycle_numbers", "judge_cycles", "with_cycles"]


class CyclicShear(Part):
    """Echoes of a run that oscillates, beside the moduli of the same cycles; nothing for a run at rest."""

    Settings = CyclesSettings
    version = 8

    def __init__(self, settings: CyclesSettings, technique: RheoXPCS, run: RunInfo) -> None:
        super().__init__(settings, technique, run)
        assert run.frame_time_s is not None  # the technique has checked it
        self._cycles = Cycles(settings, technique.partition, run.readings, run.frame_time_s)

    def push(self, frames: Screened) -> None:
        """Take the next frames."""
        self._cycles.push(frames)

    def prepare(self, so_far: Correlated, n_frames: int) -> bool:
        """Calibrate for a run of so many frames; return whether it oscillates."""
        if not self._cycles.oscillates:
            return False
        curves, n_cycles = self._cycles.so_far(), self._cycles.n_cycles(n_frames)
        if curves is not None and n_cycles >= FEWEST:
            technique = self.technique.with_bank(with_cycles(self.technique.bank))
            prepare(technique, *seen(curves, technique.rings, n_cycles), so_far.speckle_px)
        return True

    def finish(self, frames: Correlated, doubt: str | None) -> Share:
        """Return numbers and verdict of the cycles, or a reason why there are none."""
        result, reason = self._cycles.finish(), self._cycles.reason
        if result is None:
            return Share(summary={"no_echoes": reason}, doubt=f"it may oscillate: {reason}") if reason else Share()
        share = cycle_numbers(result, self.technique.partition, self.technique.rings)
        judgement = judge_cycles(self.technique, result.curves, frames.speckle_px, doubt)
        return replace(share, judgement=judgement)
