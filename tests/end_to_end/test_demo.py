"""The demo in short, on the small detector, and its comparison with the truth."""

import json
import re

import pytest

import agents.demo.campaign
from agents.demo import empty
from agents.demo.campaign import SAMPLES
from agents.demo.recording import DOCUMENTS, POSITIONS, RECORDED, SAMPLE, replay
from agents.demo.recording import SEED as RECORDED_SEED
from agents.demo.simulated import hardware_beside
from ainerd.config import Settings
from sim_devices import hidden_sample
from tests.end_to_end.sessions import SMALL

SEED = 5


def test_the_demo_explores_reports_and_draws(tmp_path, capsys):
    agents.demo.campaign.run(
        Settings.load(SMALL),
        seed=SEED,
        hardware=hardware_beside(SMALL),
        runs=((1, 100, 0.5), (1, 300, 1 / 6)),
        output=tmp_path / "demo",
    )
    output = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"python -m agents.demo --seed {SEED}" in output
    assert "2 of 2 exposures have a complete result" in output
    assert "adjusted Rand index" in output
    for name in hidden_sample(SAMPLES[SEED % 6], SEED).regions:
        assert name in output
    assert (tmp_path / "demo" / "campaign.png").stat().st_size > 50_000
    assert re.search(rf"to see the page: \S*ainerd serve {tmp_path}/demo/tiled --frames", output)


def test_the_recorded_campaign_is_analysed_again(tmp_path, part_of_bank, capsys):
    table = replay(tmp_path / "replay", browser=False).sort_values("scan_id")
    assert table["status"].eq("complete").all()
    documents = [json.loads(line) for line in (RECORDED / DOCUMENTS).read_text().splitlines()]
    starts = [each["doc"] for each in documents if each["name"] == "start"]
    exposed = [start["uid"] for start in starts if start["plan_name"] == "expose"]  # the campaign is a run as well
    assert table["raw_uid"].tolist() == exposed and len(exposed) == POSITIONS
    sample = hidden_sample(SAMPLE, RECORDED_SEED)
    regimes = [sample.regime(*position) for position in table[["sample_x", "sample_y"]].to_numpy()]
    assert table["novel"].tolist() == [regime in sample.unknown for regime in regimes] and table["novel"].sum() == 2
    printed = capsys.readouterr().out
    assert "the first result is on the page" in printed and (tmp_path / "replay/tiled/page.html").exists()
    assert sum(file.stat().st_size for file in RECORDED.rglob("*")) < 10e6


def test_a_folder_with_other_files_is_not_emptied(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds thesis\.tex"):
        empty(tmp_path)
    with pytest.raises(ValueError, match=r"thesis\.tex is a file"):
        empty(tmp_path / "thesis.tex")
    empty(tmp_path / "new")
    (tmp_path / "new" / "frames").mkdir()
    empty(tmp_path / "new")
    assert not any((tmp_path / "new").iterdir())
