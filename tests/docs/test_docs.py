"""The documentation is true: its snippets run, its tables agree with the code."""

import ast
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Literal, get_args, get_origin

import h5py
import numpy as np
import pytest
import typer
from IPython.lib.pretty import pretty
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from agents.demo import tutorial
from ainerd.cli import app
from ainerd.config import Detector, Settings
from ainerd.documents import Run
from ainerd.knobs import Knob
from ainerd.results import AtlasRecord, ConfigurationRecord, LogRecord, ResultRecord, SuggestionRecord
from ainerd_shear.part import CyclesSettings
from ainerd_xpcs.technique import RheoXPCSSettings
from ainerd_xtec import XTECSettings
from tests.end_to_end.sessions import FRAMES, PERIOD_S, expect, started
from tests.explorer import Explorer
from tests.techniques.installing import TOY, installed
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SMALL = ROOT / "profiles" / "rheo_xpcs" / "small.toml"
RUNS = re.compile(
    r"^<!-- runs -->\n```(python|shell)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL
)
NO_OUTPUT = {"architecture.md", "reduced-two-time.md", "results.md"}  # their text is no output


def run_page(name, namespace, shown=None, raw=None):
    """Run the marked blocks of a page, in order, and return its names; `ainerd` runs in this process.

    The text below a block is the end of its output; with AINERD_WRITE_PAGES set, it is written there. The output of
    each block in IPython goes into the list `shown`. With `raw`, each block waits for its runs there.
    """
    path = DOCS / name
    text = now = path.read_text()
    assert RUNS.search(text), f"{name} has no block that runs"
    for block in RUNS.finditer(text):
        kind, code, end = block.groups()
        if kind == "shell":
            code = f'ainerd() {{ printf "%s\\n" "$@"; }}\n{code}'
            arguments = subprocess.run(["bash", "-euc", code], stdout=subprocess.PIPE, text=True, check=True).stdout
            if arguments:
                done = CliRunner(env={"COLUMNS": "120"}).invoke(app, arguments.splitlines())
                assert done.exit_code == 0, done.output
                now = with_end(now, end, done.stdout)
            continue
        tree = ast.parse(code)
        ast.increment_lineno(tree, text.count("\n", 0, block.start(2)))
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(ast.Interactive(tree.body), str(path), "single"), namespace)
            if raw is not None:
                until(partial(is_written, namespace["RE"], raw), "the last run in Tiled")
            if shown is not None:
                namespace["agent"].drain()
        if shown is not None:
            shown.append((code, output.getvalue()))
        else:
            now = with_end(now, end, output.getvalue())
    if "AINERD_WRITE_PAGES" in os.environ:
        path.write_text(now)
    else:
        assert now == text, "make tutorial"
    return namespace


def with_end(page, end, output):
    """Return a page with the last lines of an output in place of as many lines, its present end."""
    lines = [f"{line.rstrip()}\n" for line in output.splitlines()]
    return page.replace(end, "".join(lines[-end.count("\n") :])) if end else page


def is_written(RE, raw):
    """Return whether the last run is in Tiled, to its stop document: its writer has a thread of its own."""
    last = raw.values().last().metadata
    return "stop" in last and last["start"]["scan_id"] == RE.md["scan_id"]


def form(shown):
    """The text without the parts that change from session to session: numbers, reasons and chance verdicts."""
    text = re.sub(r"(?m)^\d\d:\d\d:\d\d +(new regime|regime \d+ may|the spot at|explored:).*\n?", "", shown)
    text = re.sub(r"(?m)^\d\d:\d\d:\d\d +scan [\d.]+: it differs.*\n?(^ {12}.*\n?)*", "", text)
    text = re.sub(r"\bNaN\b", "0", text)  # a tau that the noise of a run hides
    text = re.sub(r"-[-\s]*-", "-", text)  # a table is folded where the terminal ends
    text = " ".join(re.sub("[╭╮╰╯│─]", " ", text).split())
    text = re.sub(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ [A-Z][a-z]{2}\b", "date", text)
    text = re.sub(r"\b\d{20}-[0-9a-f]{8}\b", "id", text)
    text = re.sub(r"http://\S+|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{32}\b|(?<=\[')[0-9a-f]{8}\b", "id", text)
    text = re.sub(r" ● novel| \(novel[^)]*\)", "", text).replace("True", "False")
    text = text.replace("queue empty", "queue 0 waiting").replace("ainerd: analysing the runs that have arrived … ", "")
    text = re.sub(r"(why|explored) .*?(?= explored| queue)", r"\1 …", text)
    text = re.sub(r"'reason': '.*?'", "'reason': …", text)
    text = re.sub(r"-?\d+(\.\d+)?(e-\d+)?", "0", text)
    text = re.sub(r"(→ next \(0, 0\)): .*?(?= run 0:| \('|$| False)", r"\1: …", text)
    return text


def section(page, heading):
    """Text below a heading, up to the next one of any level."""
    return re.split(r"^#+ ", page.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text):
    """Of the tables in a text: each name in the first cell, without its backticks, to the second cell."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {name: cells[1] for cells in lines for name in cells[0].strip("`").split("`, `")}


@pytest.fixture(scope="module")
def session(tmp_path_factory, bank_file):
    """The tutorial, in a folder where its paths exist, after the profile's startup files."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "profiles" / "rheo_xpcs").mkdir(parents=True)
    shutil.copy(SMALL, folder / "profiles" / "rheo_xpcs" / "agent.toml")  # the pages' instrument, with a small detector
    (data := folder / "output" / "session").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")  # as wide as the terminal that the page was made in
        patch.setenv("LOGNAME", "ada")  # whose name the log has
        patch.setenv("AINERD_RHEO_XPCS__BANK", str(bank_file))
        patch.setattr(sys, "displayhook", lambda value: value is not None and print(pretty(value)))
        with started(ROOT / "profiles" / "rheo_xpcs", data) as names:
            os.chdir(folder)
            expect(names["lambda750k"].cam, FRAMES)
            shown = []
            yield run_page("tutorial/first-session.md", names, shown) | {"shown": shown}


def test_the_tutorial_leaves_its_results(session):
    table = session["agent"].results.table(all=True)
    assert table["status"].tolist() == ["complete"] * 5
    assert session["c2"].shape == (18, 256, 256)
    assert Path("first-session.png").stat().st_size > 10_000
    asked = session["agent"].results.suggestions().set_index("reason")["status"]
    assert asked["a scratch in the window"] == "measured"
    assert "rejected (" in session["agent"].log()["text"].str.cat()


def test_the_tutorial_shows_the_output_of_a_session(session):
    page = (DOCS / "tutorial/first-session.md").read_text()
    texts = {block[2]: block[4] for block in tutorial.BLOCK.finditer(page) if block[4]}
    outputs = dict(session["shown"])
    assert len(texts) >= 8 and texts.keys() <= outputs.keys()
    for code, text in texts.items():
        assert form(text.removeprefix("\n```text").removesuffix("```\n")) == form(outputs[code]), (
            f"make tutorial: {code}"
        )


def test_the_store_and_tiled_alone_find_the_same(session):
    page = run_page("how-to/query-results.md", {})
    for name in ("novel", "upper", "by_words"):
        assert set(page[name].index) == set(page[f"{name}_keys"]), name
    assert len(page["upper"]) > 0 and len(page["by_words"]) == len(page["nodes"]) == len(page["table"]) == 5
    assert page["by_time"] == page["table"].index.to_list()
    assert len(page["first"]) > 0
    assert (page["c2"][0] == page["first_bin"]).all()


def test_a_file_gives_the_result_of_its_run(session, part_of_bank):  # else the shipped bank is calibrated: 80 s
    page = run_page("how-to/analyze-a-file.md", {})
    results = session["agent"].results
    of_runs = [abs(results.array(key, "c2") - page["c2"]).max() for key in results.table(all=True).index]
    assert min(of_runs) < 1e-5
    assert page["g2"].shape == (18, page["tau"].size) and 0 < page["p"] <= 1
    assert page["maps"].shape == (4, 64, 64)
    tau = 1 / (100 * page["q"] ** 2)
    np.testing.assert_array_less(abs(page["relaxation"].tau - tau), 3 * page["relaxation"].tau_err)
    assert abs(page["law"].diffusion - 100) < 3 * page["law"].diffusion_err


def test_cyclic_shear():
    page = run_page("how-to/cyclic-shear.md", {})
    tau = 1 / (60 * page["q"] ** 2)
    np.testing.assert_array_less(abs(page["curves"].decay.tau - tau), 3 * page["curves"].decay.tau_err)
    assert abs(page["law"].diffusion - 60) < 3 * page["law"].diffusion_err
    assert abs(page["moduli"].storage - 400).max() < 5 * page["moduli"].storage_err.max()


def test_repeats_are_averaged_as_the_page_shows(own_folder):
    run_page("how-to/average-repeats.md", {})
    with h5py.File("average.h5") as file:
        sentences = file.attrs["sentences"].splitlines()
        assert np.flatnonzero(~file["repeats/kept"][()]).tolist() == [4]
        assert file["repeats/log_tau"][()][[0, 3, 7, 11]] == pytest.approx(
            np.log(1.03) * (np.array([0, 3, 7, 11]) - 5.7), abs=0.05
        )
    shown = (DOCS / "how-to/average-repeats.md").read_text()
    assert len(sentences) == 6 and all(line in shown for line in sentences)


def test_settings_can_be_copied(session):
    page = run_page("how-to/your-beamline.md", {})
    assert (page["technique"].partition.n_pixels > 64).all()


def test_shear_and_beam(session):
    clock = session["rheometer"].clock
    began = clock.now()
    page = run_page("how-to/shear-and-beam.md", session, raw=session["client"]["raw"])
    assert (
        0 < page["age"] < clock.now() - began - 199
    )  # of which 200 s are shear; the session has been going on for longer
    assert "zero photons" in page["reason"]
    assert page["counts"] == pytest.approx(0.24 * 5 * PERIOD_S, rel=0.15)
    assert len(page["baseline"]["attenuator_transmission"]) == 2


def test_a_technique_of_ones_own(tmp_path, own_folder):
    text = (DOCS / "how-to/your-technique.md").read_text()
    for file in ("toy.py", "toy_panels.py", "pyproject.toml", "toy.toml"):
        assert (TOY / file).exists() and f"{{literalinclude}} ../../tests/techniques/toy/{file}\n" in text, file
    with installed(TOY, tmp_path / "site"):
        shutil.copy(TOY / "toy.toml", tmp_path)
        page = run_page("how-to/your-technique.md", {})
    assert page["table"]["status"].tolist() == ["complete"] * 3
    assert page["table"]["n_frames"].tolist() == [5] * 3 and page["table"]["temperature"].tolist() == [300.0] * 3
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("campaign.png", "result.png"))


EXPLAINED = ["explanation/reduced-two-time.md", "explanation/novelty.md", "explanation/learned-encoder.md"]


@pytest.mark.parametrize("name", EXPLAINED)
def test_explanations_are_true(name, part_of_bank):
    page = run_page(name, {})
    if "flagged" in page:
        assert 0 < page["flagged"] < 0.06
        assert page["why"].nearest in page["bank"].families and 0 < page["why"].p <= 1
    if "same" in page:
        np.testing.assert_allclose(page["same"], page["point"], atol=1e-4)


def test_all_output_in_a_page_is_of_a_block_that_runs():
    for path in (ROOT / "README.md", *DOCS.rglob("*.md")):
        text = path.read_text()
        shown = sum(end is not None for *_, end in (block.groups() for block in RUNS.finditer(text)))
        assert path.name in NO_OUTPUT or text.count("```text\n") == shown, path
        typed = "".join(re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        assert all(line.startswith("$ ") for line in typed.splitlines()), path


def test_every_marked_page_is_run():
    run_above = {*re.findall(r'run_page\("(\S+)"', Path(__file__).read_text()), *EXPLAINED}
    marked = {p for p in DOCS.rglob("*.md") if "<!-- runs -->" in p.read_text() and "_build" not in p.parts}
    assert {p.relative_to(DOCS).as_posix() for p in marked} == run_above
    for path in marked:
        text = path.read_text()
        assert text.count("<!-- runs -->") == len(RUNS.findall(text)), path


@pytest.mark.parametrize(
    ("heading", "record", "computed"),
    [
        ("## Result", ResultRecord, {"digest"}),
        ("## Configuration", ConfigurationRecord, {"digest"}),
        ("## Suggestion", SuggestionRecord, set()),
        ("## Atlas", AtlasRecord, set()),
        ("## Log line", LogRecord, set()),
    ],
)
def test_fields_of_the_records(heading, record, computed):
    text = section((DOCS / "reference/results.md").read_text(), heading)
    assert set(rows(text)) == set(record.model_fields) | computed
    for name, field in record.model_fields.items():
        if get_origin(field.annotation) is Literal:
            assert all(f"`{value}`" in rows(text)[name] for value in get_args(field.annotation))
    if record is SuggestionRecord:
        assert all(f"`{name}`" in rows(text)["terms"] for name in Explorer.terms)


def test_numbers_and_arrays_of_a_result(session):
    page = (DOCS / "reference/results.md").read_text()
    store, beside = session["agent"].results, session["settings"].recorded
    key = store.table("complete").index[0]
    of_series = {f"{name}_{what}" for name in beside.series for what in ("mean", "min", "max", "last")}
    named = set(rows(section(page, "### Summary numbers")))
    present = set(store.record(key).summary) - of_series - set(beside.readings)
    assert present <= named
    node = session["client"]["ainerd/results"][key]
    arrays = rows(section(page, "### Arrays"))
    tables = set(rows(section(page, "### Tables")))
    assert set(store.record(key).tables) <= tables
    assert set(arrays) == set(node) - tables - {f"{name}{end}" for name in beside.series for end in ("", "_time")}
    (loaded,) = store.load([key])
    for name, dims in arrays.items():
        assert tuple(dims.strip("`").split(", ")) == loaded[name].dims


def test_keys_of_the_settings():
    page = (DOCS / "reference/configuration.md").read_text()
    text = page.split("## Environment")[0]
    sections = {
        "": Settings,
        "rheo_xpcs.": RheoXPCSSettings,
        "rheo_xpcs.cycles.": CyclesSettings,
        "xtec.": XTECSettings,
        "steering.knobs.NAME.": Knob,
    }
    assert rows(text) == {name: x for prefix, model in sections.items() for name, x in keys(model, prefix)}


def keys(model, prefix=""):
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", shown(field.default, field.is_required())


def shown(default, required):
    if required or default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    text = getattr(default, "get_secret_value", lambda: default)()
    return f'`"{text}"`' if isinstance(text, str) else f"`{text}`"


def test_commands_and_options():
    page = (DOCS / "reference/command-line.md").read_text()
    common = rows(page.split("\n## ")[0])
    by_name = dict(commands(typer.main.get_command(app), "ainerd"))
    assert sorted(re.findall(r"^## (.*)$", page, re.MULTILINE)) == sorted(by_name)
    assert len(by_name) <= 18
    for name, command in by_name.items():
        text = section(page, f"## {name}")
        options = [p for p in command.params if p.param_type_name == "option"]
        defaults = {
            p.opts[0]: "required" if p.required else "none" if p.default is None else f"`{p.default}`" for p in options
        }
        assert rows(text) == {name: x for name, x in defaults.items() if common.get(name) != x}
        for argument in (p for p in command.params if p.param_type_name == "argument"):
            assert re.search(rf"`{name} [^`]*\b{argument.name.upper()}\b", text)


def commands(command, name):
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child, inner in children.items():
        if not inner.hidden:
            yield from commands(inner, f"{name} {child}")


def test_the_table_of_faults_is_of_the_tests_that_there_are():
    marked = re.compile(r"^@pytest\.mark\.fault\(.*?^def (test_\w+)", re.MULTILINE | re.DOTALL)
    tests = {name for path in (ROOT / "tests").rglob("test_*.py") for name in marked.findall(path.read_text())}
    table = (ROOT / "tests" / "faults.md").read_text()
    assert set(re.findall(r"`(test_\w+)`", table)) == tests, "make faults"
    assert "did not hold" not in table


def test_a_program_that_only_writes_a_file_is_a_detector(tmp_path, own_folder, importable):
    importable(DOCS / "how-to" / "files" / "detectors")
    page = run_page("how-to/your-detector.md", {})
    run = Run(Detector(image="camera_image", n_frames="camera_n_frames"), [tmp_path])
    for name, doc in page["documents"]:
        run(name, doc)
    frames = np.concatenate([block.frames for block in run.blocks(np.arange(48), wait_s=1.0)])
    run.close()
    assert run.n_event == 100
    with page["h5py"].File(page["path"]) as file:
        assert np.array_equal(frames, file["entry/data/data"][()].reshape(100, 48))
