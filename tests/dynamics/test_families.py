"""What the families draw."""

import numpy as np
import pytest

from ainerd.dynamics import FAMILIES, HELD_OUT, KNOWN, draw, g1_squared, reduced_g1_squared


@pytest.mark.parametrize("family", FAMILIES)
def test_a_draw_names_its_family_and_repeats_with_the_seed(family):
    first, again = (draw(family, np.random.default_rng(3), 50.0) for _ in range(2))
    assert first == again and first.family == family


def test_known_and_held_out_share_nothing_and_miss_nothing():
    assert set(KNOWN) | HELD_OUT == set(FAMILIES)
    assert not set(KNOWN) & HELD_OUT
    assert {"flow", "echo"} <= HELD_OUT


def test_no_known_family_is_heterodyne():
    """Fringes must stay unseen in training."""
    rng = np.random.default_rng(0)
    assert not any(draw(family, rng, 50.0).is_heterodyne for family in KNOWN for _ in range(100))


@pytest.mark.parametrize("family", FAMILIES)
def test_maps_do_not_depend_on_the_length_of_the_exposure(family):
    short, long = (
        reduced_g1_squared(draw(family, np.random.default_rng(8), duration), duration, 32, (40.0,))
        for duration in (2.0, 2000.0)
    )
    assert np.allclose(short, long, atol=1e-6)


def test_families_look_different():
    """Middle of the exposure: a fluid has forgotten all, an arrested sample holds a plateau, ageing slows down."""
    rng, t = np.random.default_rng(0), np.linspace(0, 50, 201)
    for _ in range(50):
        fluid, arrested, ageing = (g1_squared(draw(name, rng, 50.0), t)[0] for name in ("fluid", "arrested", "ageing"))
        assert fluid[0, -1] < 1e-3
        assert arrested[0, -1] > 0.2
        assert ageing[190, 200] > ageing[0, 10]


def test_unknown_family():
    with pytest.raises(ValueError, match="no family 'glass': there are fluid"):
        draw("glass", np.random.default_rng(0), 50.0)
