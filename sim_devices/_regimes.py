"""The regimes of a sample: what each is like at a spot, in seconds whatever the exposure.

Each bears the name of its family in `ainerd.dynamics`. The parameters are those of an exposure of about 50 s, in the
middle, at the edge or outside of what the training corpus draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ainerd.dynamics import Dynamics
from sim_devices._scattering import Motion

JUMP_PER_PA = 5.0  # of the internal clock, where the sample yields by 1 Pa
REJUVENATING_PA = 0.5


@dataclass(frozen=True, kw_only=True)
class Spot:
    """What decides the parameters of one exposure.

    Attributes
    ----------
    x, y : float
        Position in mm.
    slower, further : float
        Two smooth fields over the sample, from -1 to 1.
    age_s : float
        Time since shear stopped when the exposure begins.
    dose_s : float
        Beam the spot has had before, in seconds of the full beam.
    events : tuple of (float, float)
        Times in the exposure, in seconds, and sizes, in Pa, of the sample's yielding.
    rng : numpy.random.Generator
        For what is new in each exposure.
    """

    x: float
    y: float
    slower: float
    further: float
    age_s: float
    dose_s: float
    events: tuple[tuple[float, float], ...]
    rng: np.random.Generator

    @property
    def tau(self) -> float:
        """What relaxation times are multiplied by, here."""
        return 1 + 0.25 * self.slower

    @property
    def aged_tau(self) -> float:
        """The same for what sets slowly: a quarter more within the hour."""
        return self.tau * (1 + 0.1 * np.log1p(self.age_s / 300))


Recipe = Callable[[Spot], Dynamics | Motion]


def _fluid(spot: Spot) -> Dynamics:
    return Dynamics(family="fluid", tau_s=1.5 * spot.tau)


def _slow(spot: Spot) -> Dynamics:
    return Dynamics(family="slow", tau_s=60 * spot.aged_tau, exponent=1.6, anisotropy=0.2, anisotropy_deg=90.0)


def _ageing(spot: Spot) -> Dynamics:
    # A spot ages anew once the beam is on it; of the time before only the logarithm is left.
    age = 4 * np.log1p(spot.age_s / 120)
    return Dynamics(family="ageing", tau_s=1.5 * spot.tau, ageing=1.1, ageing_onset_s=7.5, age_s=age)


def _rejuvenating(spot: Spot) -> Dynamics:
    times = tuple(when for when, size in spot.events if size > REJUVENATING_PA)
    age = 10 + 4 * np.log1p(spot.age_s / 120)
    return Dynamics(
        family="rejuvenating", tau_s=spot.tau, ageing=1.3, ageing_onset_s=3.0, age_s=age, rejuvenation=times
    )


def _arrested(spot: Spot) -> Dynamics:
    return Dynamics(family="arrested", tau_s=4 * spot.tau, plateau=0.7 + 0.05 * spot.further)


def _avalanche(spot: Spot) -> Dynamics:
    # The whole sample yields; how much of it happens in the beam is drawn.
    jumps = tuple((when, JUMP_PER_PA * size * spot.rng.uniform(0.6, 1.4)) for when, size in spot.events)
    return Dynamics(family="avalanche", tau_s=200 * spot.aged_tau, exponent=1.2, events=jumps)


def _flow(spot: Spot) -> Dynamics:
    turns_per_s = (6.5 + 1.2 * spot.further) / 50
    return Dynamics(family="flow", tau_s=40 * spot.tau, static=0.45, flow_rad_s=2 * np.pi * turns_per_s)


def _populations(spot: Spot) -> Dynamics:
    mobile = Dynamics(family="fluid", tau_s=0.4 * spot.tau)
    share = 0.5 + 0.12 * spot.further
    return Dynamics(family="populations", tau_s=80 * spot.aged_tau, exponent=1.2, second=mobile, second_share=share)


def _beam(spot: Spot) -> Dynamics:
    return Dynamics(family="beam", tau_s=45 * spot.tau, beam_speedup=0.35, dose_s=spot.dose_s)


def _echo(spot: Spot) -> Dynamics:
    hertz = 0.11 * (1 + 0.2 * spot.further)
    return Dynamics(family="echo", tau_s=100 * spot.tau, exponent=2.0, echo=(1.2, hertz))


def _banded(spot: Spot) -> Dynamics:
    fast = 2 * np.pi * (8 + 1.5 * spot.further) / 50
    slow = Dynamics(family="flow", tau_s=40 * spot.tau, flow_rad_s=0.4 * fast)
    return Dynamics(family="banded", tau_s=40 * spot.tau, flow_rad_s=fast, second=slow, second_share=0.5)


def _ballistic(spot: Spot) -> Dynamics:
    return Dynamics(family="ballistic", tau_s=2.5 * spot.tau, exponent=2.0, arrest_s=10 * (1 + 0.2 * spot.further))


REGIMES: dict[str, Recipe] = {
    "fluid": _fluid,
    "slow": _slow,
    "ageing": _ageing,
    "rejuvenating": _rejuvenating,
    "arrested": _arrested,
    "avalanche": _avalanche,
    "flow": _flow,
    "populations": _populations,
    "beam": _beam,
    "echo": _echo,
    "banded": _banded,
    "ballistic": _ballistic,
}
