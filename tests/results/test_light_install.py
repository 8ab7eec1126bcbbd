"""An installation without extras reads, draws and exports results."""

import subprocess
import sys
import textwrap

# Modules of the extra `agent` that the base dependencies do not bring, and numba, which they bring and nothing needs.
ABSENT = """
    IPython bluesky bluesky_adaptive bluesky_tiled_plugins databroker event_model hdf5plugin numba ophyd
    pyFAI safetensors scipy sklearn threadpoolctl torch umap zmq
""".split()

CODE = """
    import sys
    for name in {absent}:
        sys.modules[name] = None  # importing it fails

    from tiled.client import from_uri
    from ainerd.results import ResultStore, export
    from ainerd.technique import Technique
    from ainerd.views import SceneReader, campaign_figure

    ainerd = from_uri({uri!r}, api_key={api_key!r})["night", "ainerd"]
    store, node = ResultStore(ainerd), ainerd["results", {key!r}]
    node.plot().savefig("result.png")
    export(store, {key!r}, "result.nxs")
    technique = Technique()
    technique.name, technique.alpha = "rheo_xpcs", 0.05
    figure = campaign_figure(SceneReader(store, technique, {{"sample_x": (0, 10), "sample_y": (0, 4)}}).read())
    figure.savefig("campaign.png", dpi=50)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    print(node.image().shape, len(store.table()), [text for text in texts if "cannot" in text])
"""


def test_results_are_read_drawn_and_exported(server, night, tmp_path):
    _, _, keys = night
    code = textwrap.dedent(CODE).format(absent=ABSENT, uri=server.uri, api_key=server.api_key, key=keys[2])
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[-2] == "(56, 116) 9 []"
    assert {path.name for path in tmp_path.iterdir() if path.stat().st_size > 5000} == {
        "campaign.png",
        "result.nxs",
        "result.png",
    }
