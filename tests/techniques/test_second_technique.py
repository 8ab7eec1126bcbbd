"""A technique written from the how-to alone: rings, a reading with each frame, series, an optimizer of its own."""

import tomllib
from pathlib import Path

import bluesky.plans as bp
import numpy as np
import pytest
from typer.testing import CliRunner

from ainerd.cli import app
from ainerd.testing import ExampleRun, check_technique
from tests.techniques.installing import installed

RADIAL = Path(__file__).parent / "radial"
SECTION = tomllib.loads((RADIAL / "radial.toml").read_text())["radial"]


@pytest.fixture(scope="module", autouse=True)
def installed_radial(tmp_path_factory):
    with installed(RADIAL, tmp_path_factory.mktemp("radial")) as folder:
        yield folder


def test_it_passes_the_checks():
    from radial import Radial

    rng = np.random.default_rng(0)
    runs = [
        ExampleRun(frames=rng.poisson(mean, (20, 6, 8)), readings={"temperature": np.linspace(300, 250, 20)})
        for mean in (4.0, 9.0)
    ]
    check_technique(Radial(**SECTION), runs, section=SECTION)


def test_from_toml_to_figure(beamline):
    b = beamline(toml=RADIAL / "radial.toml", agent={"acquire": lambda devices, md: bp.count(devices, num=3, md=md)})
    for stop, md in ((280.0, {}), (250.0, {"ramp_ends": True})):
        b.RE(bp.scan([b.camera], b.temperature, 300.0, stop, 5), ramp="cooling", **md)
    (cooling,) = b.table().itertuples()
    assert (cooling.status, cooling.n_frames) == ("complete", 10)
    node = b.client["ainerd/results"][cooling.Index]
    np.testing.assert_allclose(node.temperature[:], [*np.linspace(300, 280, 5), *np.linspace(300, 250, 5)])
    assert node.variance.shape == (10, 3)
    b.RE(b.agent.explore(3))
    table = b.table()
    assert table["status"].tolist() == ["complete"] * 4
    chosen = b.agent.results.suggestions("measured")
    assert len(chosen) == 3 and (chosen["sample_x"] / 10 * 64 % 1 == 0).all()  # halves of halves
    assert set(chosen["reason"]) == {"the middle of the widest gap"}
    b.agent.plot().savefig(b.toml.with_name("campaign.png"))
    node.plot().savefig(b.toml.with_name("result.png"))
    out = str(b.toml.with_name("cooling.npz"))
    for command in (["check", "--server"], ["export", cooling.Index, out, "--config"]):
        done = CliRunner().invoke(app, [*command, str(b.toml)])
        assert done.exit_code == 0, done.output
    assert np.load(b.toml.with_name("cooling.npz"))["variance"].shape == (10, 3)
