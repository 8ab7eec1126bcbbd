"""An installation without extras reads, draws and exports results."""

import subprocess
import sys
import textwrap

# Modules of the extras, and of what they need.
ABSENT = (
    "bluesky bluesky_adaptive bluesky_tiled_plugins event_model hdf5plugin numba pyFAI safetensors scipy sklearn "
    "sqlalchemy fastapi starlette uvicorn threadpoolctl torch umap zmq ophyd databroker distributed bokeh mcp"
)


CODE = """
    import sys
    for name in {absent!r}.split():
        sys.modules[name] = None  # importing it fails

    from tiled.client import from_uri
    from ainerd.results import ResultStore, export
    from ainerd.technique import Technique
    from ainerd.views import read_scene, campaign_figure

    ainerd = from_uri({uri!r}, api_key={api_key!r})["night", "ainerd"]
    store, node = ResultStore(ainerd), ainerd["results", {key!r}]
    assert node.c2[0].shape == node["c2"][0].shape == node["c2"].read().shape[1:]
    assert list(node.rows("stress")) == ["time", "stress"]
    node.to_xarray().to_netcdf("result.nc")
    node.plot().savefig("result.png")
    export(store, {key!r}, "result.nxs")
    technique = Technique()
    technique.name, technique.alpha = "rheo_xpcs", 0.05
    figure = campaign_figure(read_scene(store, technique, {{"sample_x": (0, 10), "sample_y": (0, 4)}}))
    figure.savefig("campaign.png", dpi=50)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    print(len(store.table(all=True)), [text for text in texts if "cannot" in text])
"""


def test_results_are_read_drawn_and_exported(server, night, tmp_path):
    _, _, keys = night
    code = textwrap.dedent(CODE).format(absent=ABSENT, uri=server.uri, api_key=server.api_key, key=keys[2])
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[-2] == "13 []"
    written = {path.name for path in tmp_path.iterdir() if path.stat().st_size > 5000}
    assert written == {"campaign.png", "result.nc", "result.nxs", "result.png"}
