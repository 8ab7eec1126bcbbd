"""The demo in short, on the small detector."""

from conftest import SMALL

import agents.demo.campaign
from ainerd.config import Settings


def test_the_demo_explores_reports_and_draws(tmp_path, capsys):
    agents.demo.campaign.run(Settings.load(SMALL), runs=((2, 100, 0.5), (1, 300, 1 / 6)), output=tmp_path / "demo")
    said = capsys.readouterr().out
    assert "3 of 3 exposures have a complete result" in said
    assert "adjusted Rand index" in said
    assert (tmp_path / "demo" / "campaign.png").stat().st_size > 50_000
