"""Property: no campaign makes a forbidden move, whatever its knobs and its policy."""

import pytest

from tests.random_campaigns import forbidden


@pytest.mark.parametrize("seed", range(0, 30, 15))
def test_no_campaign_makes_a_forbidden_move(seed):
    done = [forbidden(i) for i in range(seed, seed + 15)]
    assert [fault for faults, _, _ in done for fault in faults] == []
    assert sum(measured for _, measured, _ in done) > 80
    assert sum(refused for _, _, refused in done) > 5
