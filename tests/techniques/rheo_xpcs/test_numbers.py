import numpy as np
import pytest

from ainerd.techniques.rheo_xpcs._numbers import _surest


@pytest.mark.parametrize(
    ("within", "of_g2", "taken"),
    [
        ((0.2, 0.01), (0.15, 0.001), (0.2, 0.01)),  # what has decayed after a frame is contrast all the same
        ((0.01, 0.03), (0.028, 0.003), (0.028, 0.003)),
        ((-0.005, 0.02), (0.03, 0.003), (0.03, 0.003)),
        ((0.01, 0.03), (0.01, 0.03), (0.01, 0.03)),
        ((0.01, 0.03), (np.nan, np.nan), (0.01, 0.03)),
        ((-0.005, 0.02), (np.nan, np.nan), None),
    ],
)
def test_the_contrast_is_the_one_known_best(within, of_g2, taken):
    assert _surest(*within, *of_g2) == taken
