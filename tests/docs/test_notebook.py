"""The notebook runs from its first cell to its last, in an IPython of its own; no Jupyter is needed for that."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "first-night.ipynb"
RUN = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="NoColor")
for cell in json.load(sys.stdin)["cells"]:
    if cell["cell_type"] == "code":
        done = shell.run_cell("".join(cell["source"]), store_history=True)
        done.raise_error()
print("BINS", shell.user_ns["data"].sizes["roi"], shell.user_ns["settings"].storage.directory.parent)
"""


@pytest.mark.timeout(400)
def test_the_notebook_runs(tmp_path, bank_file):
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert cell["cell_type"] == "markdown" or cell["outputs"] == []
    environment = os.environ | {
        "AINERD_STORAGE__DIRECTORY": str(tmp_path / "tiled"),
        "AINERD_STORAGE__FRAMES": json.dumps([str(tmp_path / "frames")]),
        "AINERD_RHEO_XPCS__BANK": str(bank_file),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "MPLBACKEND": "Agg",
    }
    command = [sys.executable, "-c", RUN]
    with open(NOTEBOOK) as notebook:
        done = subprocess.run(
            command, env=environment, cwd=NOTEBOOK.parent, stdin=notebook, capture_output=True, text=True, timeout=380
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"BINS 18 {tmp_path}" in done.stdout and (tmp_path / "night.csv").exists()
    assert "tried by hand" in done.stdout
