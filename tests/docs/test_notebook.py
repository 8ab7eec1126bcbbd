"""The notebook runs from its first cell to its last, in an IPython of this process; no Jupyter is needed for that."""

import atexit
import json
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tests.end_to_end.sessions import environment

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "first-night.ipynb"


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # IPython puts its own module there
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    yield shell
    atexit.unregister(shell.atexit_operations)
    InteractiveShell.clear_instance()


@pytest.mark.timeout(400)
def test_the_notebook_runs(shell, tmp_path, bank_file, variables, monkeypatch, capsys):
    variables(**environment(tmp_path), AINERD_RHEO_XPCS__BANK=bank_file)
    monkeypatch.delenv("AINERD_CONFIG")  # it sets this one
    monkeypatch.chdir(NOTEBOOK.parent)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    try:
        for cell in cells:
            assert cell["cell_type"] == "markdown" or cell["outputs"] == []
            if cell["cell_type"] == "code":
                shell.run_cell("".join(cell["source"]).replace("put(500)", "put(100)")).raise_error()
    finally:  # its last cell closes them
        for name in {"agent", "close_tiled"} & shell.user_ns.keys():
            atexit.unregister(getattr(shell.user_ns[name], "close", shell.user_ns[name]))
    assert shell.user_ns["data"].sizes["roi"] == 18 and (tmp_path / "night.csv").exists()
    assert "tried by hand" in capsys.readouterr().out
