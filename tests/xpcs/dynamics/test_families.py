"""Random draws of the families of dynamics."""

import numpy as np
import pytest

from ainerd_xpcs.dynamics import KNOWN, draw


def test_known_families_never_show_held_out_mechanisms():
    """No echo, no arrest, no two velocities in a draw of a known family, whatever its name."""
    rng = np.random.default_rng(0)
    for known in (draw(family, rng) for family in KNOWN for _ in range(100)):
        for _, part in known.parts:
            assert part.echo == (0.0, 0.0) and np.isinf(part.arrest_s)
        assert sum(part.flow_rad_s != 0 for _, part in known.parts) <= 1
        assert known.second is None or not known.is_heterodyne


def test_unknown_family():
    with pytest.raises(ValueError, match="no family 'glass': there are fluid"):
        draw("glass", np.random.default_rng(0))
