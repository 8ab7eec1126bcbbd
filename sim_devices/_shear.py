"""What shearing does to the stress of the sample, and what is left of it when shear has stopped.

Fitted to the record that Horwath et al. (Nat. Commun. 15, 5945, 2024) published with their data: 190 s at 30 1/s, 10 s
at 100 1/s, then rest. Other rates go along the power laws through these two; nobody measured them.
"""

from dataclasses import dataclass

import numpy as np

RATES = (0.01, 100.0)  # 1/s: faster, the motor would need more than the 200 mN·m it has
RESTING_PA = 87.05
RELAXING = ((160.3, 7.1), (78.3, 57.6))  # Pa, s
STOPPING_S = 1.0  # the rest goes at once: the record's first point after shear comes at 10 s
LAST_SHEARED_PA = 22678.0


def _power_law(rate: float, at_30: float, at_100: float) -> float:
    return at_30 * (at_100 / at_30) ** (np.log(rate / 30) / np.log(100 / 30))


def sheared_stress(rate: float, for_s: float) -> float:
    """Stress in Pa after shearing at a rate in 1/s for a time in s: thixotropic decay to the flow curve.

    The fit leaves 0.3 kPa rms of 11 to 16 kPa at 30 1/s, and 0.5 kPa of 23 to 41 kPa at 100 1/s.
    """
    steady = _power_law(rate, 10912.0, 17326.0)
    excess = _power_law(rate, 5772.0, 23065.0)
    return float(steady + excess * np.exp(-for_s / _power_law(rate, 30.2, 6.03)))


def relaxing_stress(from_pa: float, age_s: float) -> float:
    """Stress in Pa a time after shear stopped, at which it was `from_pa`.

    The fit leaves 0.2 Pa rms from 10 to 380 s. Later the record yields, and stiffens by 3 Pa within the hour.
    """
    slow = sum(size * np.exp(-age_s / time) for size, time in RELAXING)
    at_once = from_pa - RESTING_PA - sum(size for size, _ in RELAXING)
    return float(RESTING_PA + slow + at_once * np.exp(-age_s / STOPPING_S))


@dataclass(frozen=True, kw_only=True)
class Shear:
    """How the sample is sheared, since shear last changed. As made, it has just stopped, as in the record.

    Attributes
    ----------
    rate : float
        In 1/s; 0 at rest.
    since_s : float
        When it changed, on the simulated clock.
    number : int
        How many times shear was started in this session.
    from_pa : float
        Stress at that moment, in Pa.
    """

    rate: float = 0.0
    since_s: float = 0.0
    number: int = 0
    from_pa: float = LAST_SHEARED_PA

    def change(self, rate: float, now_s: float) -> "Shear":
        """Shear at another rate from now on; the same rate changes nothing."""
        if rate == self.rate:
            return self
        number = self.number + (self.rate == 0)
        return Shear(rate=rate, since_s=now_s, number=number, from_pa=self.stress(now_s))

    def age_s(self, now_s: float) -> float:
        """Time since shear stopped, 0 while it goes on."""
        return 0.0 if self.rate else now_s - self.since_s

    def stress(self, now_s: float) -> float:
        """Stress in Pa, of a sample that does not yield."""
        elapsed = now_s - self.since_s
        return sheared_stress(self.rate, elapsed) if self.rate else relaxing_stress(self.from_pa, elapsed)
