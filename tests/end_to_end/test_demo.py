"""The demo in short, on the small detector; and what it tells of campaigns that went this way or that."""

import numpy as np
import pandas as pd
from conftest import SMALL

import agents.demo.campaign
from agents.demo.campaign import MOVED, PICTURED, SAMPLES
from agents.demo.simulated import hardware_beside
from agents.demo.truth import apart, novelty
from ainerd.config import Settings
from sim_devices import hidden_sample

SEED = 5


def test_the_demo_explores_reports_and_draws(tmp_path, capsys):
    agents.demo.campaign.run(
        Settings.load(SMALL),
        seed=SEED,
        hardware=hardware_beside(SMALL),
        runs=((2, 100, 0.5), (1, 300, 1 / 6)),
        output=tmp_path / "demo",
    )
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"python -m agents.demo --seed {SEED}" in said
    assert "3 of 3 exposures have a complete result" in said
    assert "adjusted Rand index" in said
    for name in hidden_sample(SAMPLES[SEED % 6], SEED).regions:
        assert name in said
    assert (tmp_path / "demo" / "campaign.png").stat().st_size > 50_000


def test_seeds_take_all_kinds_of_samples():
    assert SAMPLES[PICTURED] == "inclusions" and set(MOVED) < set(SAMPLES)
    for sample in SAMPLES:
        assert len(hidden_sample(sample, 0).regions) >= 3


def campaign(*exposures):
    truth, regime, p, novel = zip(*exposures, strict=True)
    number = pd.Series(np.arange(1, len(truth) + 1))
    return pd.Series(truth, dtype=object), number, pd.DataFrame({"regime": regime, "novelty_p": p, "novel": novel})


def test_the_text_says_what_was_found_and_what_was_wrongly_called():
    truth, number, found = campaign(
        ("fluid", 0, 0.4, False), ("echo", 1, 0.01, True), ("fluid", 2, 0.03, True), ("echo", 1, 0.2, False)
    )
    assert novelty(truth, number, found, {"echo", "banded"}, 0.05) == [
        "banded was never hit.",
        "echo was hit twice, and called novel once, first in exposure 2.",
        "Of 2 exposures of known kinds with a p-value, 1 called novel (3, fluid); 0.1 expected by chance at 0.05.",
    ]
    assert apart(truth, found["regime"]) == ["Split into several: fluid."]


def test_the_text_says_what_was_missed_and_where_nothing_was_claimed():
    truth, number, found = campaign(("slow", 0, 0.4, False), ("echo", 0, 0.3, False), ("slow", -1, np.nan, None))
    assert novelty(truth, number, found, {"echo"}, 0.05) == [
        "echo was hit once, and missed: no exposure of it was called novel.",
        "Of 1 exposures of known kinds with a p-value, 0 called novel; 0.1 expected by chance at 0.05.",
        "1 without a p-value.",
    ]
    assert apart(truth, found["regime"]) == ["Taken for one: echo and slow."]
