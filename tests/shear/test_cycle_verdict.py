"""The bank of runs that oscillate: its kinds do what their names say, and scatterers that yield are of that kind."""

import numpy as np
import pytest

from ainerd_shear import Echoes
from ainerd_shear._verdict import cyclic
from ainerd_shear.part import judge_cycles, with_cycles
from ainerd_xpcs.dynamics import clock
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.technique import RheoXPCS
from sim_devices import Cycled, Oscillation, frame_times
from tests.shear.cycled import PARTITION, counted
from tests.small_bank import OF_EACH

T = (np.arange(2001)) / 2000


def rates(kind, seed):
    """A drawn sample, and its rate between the times."""
    drawn = cyclic(kind, np.random.default_rng(seed))
    return drawn, np.diff(clock(drawn, T)) * 2000


@pytest.mark.parametrize("seed", range(4))
def test_a_rate_that_yields_rises_at_one_time_and_stays(seed):
    drawn, rate = rates("yielding", seed)
    (when,) = drawn.rejuvenation
    step = int(when * 2000)  # the step is within this interval
    before, after = rate[:step], rate[step + 1 :]
    assert np.ptp(before) < 1e-3 * before.mean() and np.ptp(after) < 1e-3 * after.mean()
    assert 1.499 < after.mean() / before.mean() < 60.1
    assert 0.2 < 1 / before.mean() < 30 and 1 / after.mean() > 0.0099


@pytest.mark.parametrize("seed", range(4))
def test_a_rate_that_trains_is_a_power_law_from_the_first_cycles_on(seed):
    drawn, _ = rates("training", seed)
    age = drawn.ageing_onset_s
    t = np.array([0.0, 0.4999, 0.5001, 0.9999, 1.0])
    s = clock(drawn, t)
    slower = (s[2] - s[1]) / (s[4] - s[3]) / 2
    assert slower == pytest.approx(((1 + 1 / age) / (1 + 0.5 / age)) ** drawn.ageing, rel=1e-3)
    assert 0.2 < s[-1] < 100


def test_the_bank_of_all_runs_is_a_part_of_it_and_stays(bank):
    kept = [*bank.families]
    more, again = with_cycles(bank), with_cycles.__wrapped__(bank)
    assert more.families == kept + ["training"] * OF_EACH + ["yielding"] * OF_EACH
    assert all(a is b for a, b in zip(more.clean, bank.clean, strict=False))
    assert all(np.array_equal(a.steps, b.steps) for a, b in zip(more.clean, again.clean, strict=True))
    assert more.id == again.id != bank.id == "small"
    assert bank.families == kept


def test_scatterers_that_yield_are_of_a_known_kind(bank):
    step, rng = Oscillation(frequency_hz=1.0, steps=((50.0, 0.05), (1.0, 0.16))), np.random.default_rng(2)
    t_s = frame_times(step, 128, [0.25], rng=rng)
    sample = Cycled(family="yielding", oscillation=step, diffusion_nm2=4.0, yield_strain=0.1)
    echoes = Echoes(PARTITION, [0.25], within=0.05)
    echoes.push(counted(sample, t_s, rng).reshape(-1, 32, 32), step.cycle(t_s))
    echoes.end()
    subject = RheoXPCS(PARTITION, Encoder.load(), bank)
    judgement = judge_cycles(subject, echoes.result(), 1.0, None)
    assert judgement.p > 0.05
    assert "yielding" not in subject.bank.families
