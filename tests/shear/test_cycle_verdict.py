"""The bank of runs that oscillate: its kinds do what their names say, and scatterers that yield are of that kind."""

import numpy as np

from ainerd_shear import Echoes
from ainerd_shear.part import judge_cycles, with_cycles
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.technique import RheoXPCS
from sim_devices import Cycled, Oscillation, frame_times
from tests.shear.cycled import PARTITION, counted
from tests.small_bank import OF_EACH


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
