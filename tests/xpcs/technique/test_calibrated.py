"""Calibrations are made once and kept: the same numbers, whoever reads them, and nothing lost with the files."""

import numpy as np
import pytest
from platformdirs import user_cache_path

from agents.rheo_xpcs import TOML
from ainerd.config import Settings
from ainerd.novelty import NoveltyScorer
from ainerd_xpcs.dynamics import clean_exposure, draw
from ainerd_xpcs.latent import Encoder
from ainerd_xpcs.technique import RESIDUALS, TERMS, Bank, Noise, RheoXPCS, bank_options, calibrated, placed, write_bank

SEEN = {"photons": 200.0, "n_pixels": 400.0, "contrast": 0.2, "n_roi": 18}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("bank") / "bank.safetensors"
    families = ["slow"] * 40 + ["fluid"] * 40
    write_bank(path, [clean_exposure(draw(family, rng)) for family in families], families, seed=0)
    return Bank.load(path)


@pytest.fixture
def another_process(monkeypatch):
    """Forget what this process keeps in memory."""
    return lambda: monkeypatch.setattr("ainerd_xpcs.technique._calibration._scorers", {})


@pytest.fixture(autouse=True)
def cache(tmp_path, variables, another_process):
    variables(XDG_CACHE_HOME=tmp_path)
    another_process()
    return user_cache_path("ainerd")


def features(bank):
    return bank.features(Encoder.load(), n_frames=1, counts=150.0, n_pixels=400.0, contrast=0.2, seed=7)


def test_the_next_process_reads_the_file_of_this_one(bank, cache, another_process):
    runs = features(bank)
    made = calibrated(bank, Encoder.load(), **SEEN)
    plain = bank.features(Encoder.load(), n_frames=1, counts=200.0, n_pixels=400.0, contrast=0.2, seed=0)
    fitted = NoveltyScorer(terms=TERMS, residuals=RESIDUALS).fit(plain, bank.families)
    another_process()
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    read = calibrated(bank, Encoder.load(), **SEEN)
    assert read is not made and file.stat().st_mtime_ns == written  # nothing is fitted again
    assert all(array.flags.c_contiguous for scorer in (made, read) for array in scorer.state().values())
    for scorer in (made, read):
        np.testing.assert_array_equal(scorer.p_values(runs), fitted.p_values(runs))
        assert scorer.explain(runs[:5]) == fitted.explain(runs[:5])
        assert scorer.n_calibration_ == 80 and scorer.kinds_.tolist() == ["fluid", "slow"]


def test_landmarks_are_made_once_and_again_if_their_file_is_damaged(bank, cache):
    options = {"n_frames": 1.0, "counts": 250.0, "n_pixels": 600.0, "contrast": 0.2}
    embeddings, names = bank.landmarks(Encoder.load(), **options)
    made = placed(bank, Encoder.load(), **options)
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    read = placed(bank, Encoder.load(), **options)
    assert file.stat().st_mtime_ns == written
    file.write_bytes(file.read_bytes()[:-4])
    for each in (made, read, placed(bank, Encoder.load(), **options)):
        np.testing.assert_array_equal(each.embeddings, embeddings)
        assert each.names == names


def test_a_file_that_is_damaged_is_made_again(bank, cache, another_process):
    runs = features(bank)
    before = calibrated(bank, Encoder.load(), **SEEN).p_values(runs)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    another_process()
    np.testing.assert_array_equal(calibrated(bank, Encoder.load(), **SEEN).p_values(runs), before)
    assert path.read_bytes() == whole


def test_whoever_cannot_write_goes_without(bank, tmp_path, cache):
    cache.write_text("a file where a folder should be")
    assert calibrated(bank, Encoder.load(), **SEEN).n_calibration_ == 80


def test_the_simulated_instrument_needs_no_calibration(cache):
    """Its scorers are shipped, and made by the present code: new exposures of the bank have uniform p-values."""
    technique = RheoXPCS.from_settings(Settings.load(TOML).section, TOML.parent)
    (ring,) = technique.rings
    noise, q_spread = Noise.of(250.0, 0.2, ring.pixels), ring.q_spread
    flickers, differ = {"flicker": 0.75 * noise.of_mean}, {"baseline": 0.0075}  # the beam; opposite bins
    kinds = ({}, flickers, differ, flickers | differ)
    several = [bank_options(noise, 0.02, ring.phi_deg, q_spread=q_spread, **kind) for kind in kinds]
    whole, some = technique.bank, slice(None, None, 25)
    part = Bank(whole.clean[some], whole.families[some], id="part")
    scorers = [calibrated(whole, technique.encoder, **given) for given in several]
    for given, scorer in ((several[0], scorers[0]), (several[-1], scorers[-1])):
        options = {**given, "counts": given["photons"]}
        del options["photons"]
        p = scorer.p_values(part.features(technique.encoder, n_frames=1, seed=3, **options))
        assert 0.015 < (p <= 0.05).mean() < 0.095 and abs(p.mean() - 0.5) < 0.06  # 304 exposures
    assert not cache.exists()  # if this fails: make scorers
