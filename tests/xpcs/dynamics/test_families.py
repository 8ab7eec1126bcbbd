"""Random draws of the families of dynamics."""

import numpy as np
import pytest

from ainerd_xpcs.dynamics import KNOWN, draw, g1_squared


def test_known_families_never_show_held_out_mechanisms():
    """No echo, no arrest, no two velocities in a draw of a known family, whatever its name."""
    rng = np.random.default_rng(0)
    for known in (draw(family, rng) for family in KNOWN for _ in range(100)):
        for _, part in known.parts:
            assert part.echo == (0.0, 0.0) and np.isinf(part.arrest_s)
        assert sum(part.flow_rad_s != 0 for _, part in known.parts) <= 1
        assert known.second is None or not known.is_heterodyne


def test_families_look_different():
    """A fluid decays fully, an arrested sample keeps a plateau, ageing slows down, the beam speeds up."""
    rng, t = np.random.default_rng(0), np.linspace(0, 1, 201)
    for _ in range(50):
        fluid, arrested, ageing, beam, renewed, ballistic = (
            g1_squared(draw(name, rng), t)[0]
            for name in ("fluid", "arrested", "ageing", "beam", "rejuvenating", "ballistic")
        )
        assert fluid[0, -1] < 2e-3
        assert arrested[0, -1] > 0.2
        assert ageing[190, 200] > ageing[0, 10]
        assert beam[190, 200] < beam[0, 10]
        rate = -np.diff(np.log(np.diagonal(renewed, 1)))
        assert rate.max() > 0 > rate.min()  # slower and slower, but for the moments it is made young again
        assert ballistic[190, 200] > 0.95 > ballistic[0, 10]


def test_unknown_family():
    with pytest.raises(ValueError, match="no family 'glass': there are fluid"):
        draw("glass", np.random.default_rng(0))
