import numpy as np
import pytest
from scipy.stats import norm

from ainerd.dose import BeamVerdict
from ainerd.technique import Pace


def paces(*taus, error=0.05):
    return tuple(Pace(tau_s=tau, error_s=error * tau) for tau in taus)


def test_a_shorter_time_in_the_stronger_beam_is_an_effect():
    verdict = BeamVerdict.of(paces(1.0, 0.5, 1.0), 0.1, 1.0)
    assert verdict.has_effect and verdict.ratio == pytest.approx(0.5)
    assert verdict.text.startswith("the beam changes the dynamics: tau at transmission 1 is 0.50 ± 0.03 of that at 0.1")


def test_a_steady_change_is_no_effect_of_the_transmission_and_is_reported():
    verdict = BeamVerdict.of(paces(1.0, 1.3, 1.69), 0.1, 1.0)
    assert verdict.has_effect is False and verdict.ratio == pytest.approx(1.0)
    assert verdict.text.endswith("from the first to the last exposure tau changed by +69%: by dose, or by age")
    assert "95 % 0.89 to 1.13" in verdict.text


def test_ratio_error_and_p_value_are_those_of_a_mean_of_two():
    each = [Pace(tau_s=tau, error_s=error * tau) for tau, error in ((1.0, 0.2), (0.8, 0.1), (0.5, 0.3))]
    verdict, error = BeamVerdict.of(tuple(each), 0.1, 1.0), np.sqrt(0.1**2 + (0.2**2 + 0.3**2) / 4)
    ratio = 0.8 / np.sqrt(1.0 * 0.5)
    assert (verdict.ratio, verdict.error) == pytest.approx((ratio, ratio * error))
    assert verdict.p == pytest.approx(2 * norm.sf(np.log(ratio) / error)) and verdict.has_effect is False
    low, high = ratio * np.exp(-1.96 * error), ratio * np.exp(1.96 * error)
    assert verdict.text.endswith(f"(p = {verdict.p:.2g}); 95 % {low:.2f} to {high:.2f}")  # and no word of a change


def test_there_is_no_verdict_without_all_times():
    for missing in (Pace(tau_s=1.0), Pace(tau_s=1.0, error_s=0.0)):
        verdict = BeamVerdict.of((missing, *paces(1.0, 1.0)), 0.1, 1.0)
        assert (verdict.has_effect, verdict.ratio, verdict.p) == (None, None, None)
        assert verdict.text.endswith("at transmission 0.1")
    one, _, again = paces(1.0, 1.0, 1.0)
    verdict = BeamVerdict.of((one, Pace(above_s=3.0), again), 0.1, 1.0)
    assert verdict.has_effect is None
    assert verdict.text == "no verdict on the beam: no relaxation time was measured at transmission 1"


def test_false_alarms_are_as_rare_as_their_level():
    errors = np.array([0.02, 0.2, 0.1])
    drawn = np.exp(errors * np.random.default_rng(0).standard_normal((3000, 3)))
    verdicts = [
        BeamVerdict.of(tuple(Pace(tau_s=t, error_s=e * t) for t, e in zip(taus, errors, strict=True)), 0.1, 1.0)
        for taus in drawn
    ]
    assert 0.03 < np.mean([verdict.p < 0.05 for verdict in verdicts]) < 0.07
    assert 0.005 < np.mean([verdict.has_effect for verdict in verdicts]) < 0.017
    assert 0.005 < np.mean(["by dose, or by age" in verdict.text for verdict in verdicts]) < 0.017
    spread = np.std([np.log(verdict.ratio) for verdict in verdicts])
    assert np.median([verdict.error / verdict.ratio for verdict in verdicts]) == pytest.approx(spread, rel=0.05)
