"""Property: no campaign makes a forbidden move, whatever its knobs and its policy."""

import pytest

from tests.random_campaigns import forbidden


@pytest.mark.parametrize("seed", [89, 225, 738, 878, 899])
def test_a_plan_reads_a_one_way_knob_again_and_refuses_no_suggestion(seed):
    assert forbidden(seed)[0] == []  # a suggested point lies behind the knob by less than its noise


@pytest.mark.parametrize("seed", range(0, 30, 15))
def test_no_campaign_makes_a_forbidden_move(seed):
    done = [forbidden(i) for i in range(seed, seed + 15)]
    assert [fault for faults, _, _ in done for fault in faults] == []
    assert sum(measured for _, measured, _ in done) > 80
    assert sum(refused for _, _, refused in done) > 5
