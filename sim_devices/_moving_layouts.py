"""Samples whose scatterers are moved one by one, and regimes that follow from it: none is prescribed by a kernel.

Of `ainerd.dynamics` nothing is used here. Times and lengths are those of an exposure of about 50 s at q of 0.024 1/nm.
"""

import numpy as np

from sim_devices._blocks import Blocks
from sim_devices._flow_field import FlowField
from sim_devices._layouts import grains
from sim_devices._particles import Crowd
from sim_devices._regimes import Recipe, Spot
from sim_devices._sample import Layout

FREE_NM2_S = 1150.0  # diffusion of a particle that is alone: it forgets within 1.5 s
ALONG_DEG = 90.0  # flow


def _dilute(spot: Spot) -> Crowd:
    return Crowd(family="dilute", fraction=0.0, diffusion_nm2_s=FREE_NM2_S / spot.tau)


def _crowded(spot: Spot) -> Crowd:
    fraction = 0.86 + 0.04 * spot.further
    return Crowd(family="crowded", fraction=fraction, diffusion_nm2_s=FREE_NM2_S / spot.tau, waited_s=spot.age_s)


def _jammed(spot: Spot) -> Crowd:
    fraction = 1.15 + 0.05 * spot.further
    return Crowd(family="jammed", fraction=fraction, diffusion_nm2_s=0.25 * FREE_NM2_S, waited_s=spot.age_s)


def _fading(spot: Spot) -> float:
    """What is left of the drive that yields blocks, as of a stress that relaxes after shear."""
    return float((1 + spot.age_s / 600) ** -0.3)


def _quiet(spot: Spot) -> Blocks:
    return Blocks(family="quiet", strained_in_s=2000 * spot.tau / _fading(spot))


def _avalanching(spot: Spot) -> Blocks:
    return Blocks(family="avalanching", strained_in_s=60 * spot.tau / _fading(spot))


def _creeping(spot: Spot) -> Blocks:
    return Blocks(family="creeping", strained_in_s=8 * spot.tau / _fading(spot))


def _still(spot: Spot) -> FlowField:
    return FlowField(family="still", diffusion_nm2_s=60 / spot.tau)


def _slipping(spot: Spot) -> FlowField:
    velocity = 34 * (1 + 0.15 * spot.further)
    return FlowField(
        family="slipping", diffusion_nm2_s=30, velocity_nm_s=velocity, sticking=0.4, direction_deg=ALONG_DEG
    )


def _sheared(spot: Spot) -> FlowField:
    shear = 60 * (1 + 0.15 * spot.further)
    return FlowField(family="sheared", diffusion_nm2_s=30, shear_nm_s=shear, direction_deg=ALONG_DEG)


def _recovering(spot: Spot) -> FlowField:
    # As a spot that ages anew once the beam is on it.
    resting = 12 * spot.tau
    return FlowField(
        family="recovering", diffusion_nm2_s=30, shear_nm_s=200, resting_s=resting, direction_deg=ALONG_DEG
    )


def _swinging(spot: Spot) -> FlowField:
    hertz = 0.11 * (1 + 0.2 * spot.further)
    return FlowField(family="swinging", diffusion_nm2_s=20, swing=(400.0, hertz), direction_deg=ALONG_DEG)


def particles(rng: np.random.Generator) -> Layout:
    """A suspension of uneven density: dilute, crowded and jammed."""
    return _grown(rng, {"dilute": _dilute, "crowded": _crowded, "jammed": _jammed})


def blocks(rng: np.random.Generator) -> Layout:
    """A solid under uneven load: quiet, avalanching and creeping."""
    return _grown(rng, {"quiet": _quiet, "avalanching": _avalanching, "creeping": _creeping})


def flow_field(rng: np.random.Generator) -> Layout:
    """A fluid that is still, slips on a wall, is sheared, comes to rest, and in one grain is swung back and forth."""
    recipes = {"still": _still, "slipping": _slipping, "sheared": _sheared, "recovering": _recovering}
    return _grown(rng, recipes, {"swinging": _swinging})


def _grown(rng: np.random.Generator, ordinary: dict[str, Recipe], unknown: dict[str, Recipe] | None = None) -> Layout:
    """Twelve grains, of what is unknown one each."""
    unknown = unknown or {}
    of_each = (list(ordinary) * 12)[: 12 - len(unknown)]
    return Layout(
        regions=(*ordinary, *unknown),
        names=grains(rng, [*of_each, *unknown]),
        recipes=ordinary | unknown,
        unknown=frozenset(unknown),
    )
