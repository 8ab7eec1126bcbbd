"""How much hard spheres in a dense suspension scatter at each q."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DIAMETER_NM = 250.0
POLYDISPERSITY = 0.08
FRACTION = 0.605  # of the volume


def form_factor(q: ArrayLike, diameter_nm: float) -> NDArray[np.float64]:
    """P(q) of a sphere, 1 at q = 0 (Rayleigh, Proc. R. Soc. A 84, 25, 1911)."""
    x = np.asarray(q, dtype=float) * diameter_nm / 2
    return (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2


def structure_factor(q: ArrayLike, diameter_nm: float, fraction: float) -> NDArray[np.float64]:
    """S(q) of hard spheres that fill a `fraction` of the volume.

    Percus and Yevick's closed form (Wertheim, Phys. Rev. Lett. 10, 321, 1963; Thiele, J. Chem. Phys. 39, 474, 1963)
    with the direct correlation -(alpha + beta r + gamma r³) inside the core, r in diameters.
    """
    x, f = np.asarray(q, dtype=float) * diameter_nm, fraction
    alpha, beta = (1 + 2 * f) ** 2 / (1 - f) ** 4, -6 * f * (1 + f / 2) ** 2 / (1 - f) ** 4
    gamma = f * alpha / 2
    sin, cos = np.sin(x), np.cos(x)
    core = alpha / x**3 * (sin - x * cos)
    core += beta / x**4 * (2 * x * sin + (2 - x**2) * cos - 2)
    core += gamma / x**6 * (-(x**4) * cos + 4 * ((3 * x**2 - 6) * cos + (x**3 - 6 * x) * sin + 6))
    return 1 / (1 + 24 * f * core)


def verlet_weis(q: ArrayLike, diameter_nm: float, fraction: float) -> NDArray[np.float64]:
    """S(q) with the fraction and diameter for which Percus and Yevick agree with simulations.

    Verlet and Weis, Phys. Rev. A 5, 939, 1972, equation 13, without their small term at contact.
    """
    effective = fraction * (1 - fraction / 16)
    return structure_factor(q, diameter_nm * np.cbrt(effective / fraction), effective)


def scattering(q: ArrayLike) -> NDArray[np.float64]:
    """Scattering of the sample at q in 1/nm, in any unit: spheres of 250 nm, 8 % polydisperse, at 60.5 vol %.

    Each sphere is taken to lie among its like (Pedersen, J. Appl. Cryst. 27, 595, 1994): P S is averaged over a normal
    law of diameters, weighted with the square of the volume.
    """
    spread = np.linspace(-3, 3, 61)
    diameter = DIAMETER_NM * (1 + POLYDISPERSITY * spread)
    weight = np.exp(-(spread**2) / 2) * diameter**6
    q = np.asarray(q, dtype=float)[..., None]
    return (form_factor(q, diameter) * verlet_weis(q, diameter, FRACTION)) @ (weight / weight.sum())
