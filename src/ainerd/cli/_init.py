"""`ainerd init`: write the settings of an instrument, and a startup file."""

import json as as_json
import tomllib
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ainerd import DEFAULT_TECHNIQUE
from ainerd.cli._check import findings_of, show
from ainerd.cli._shared import Force, check_new
from ainerd.cli._startup import Layout, startup_file

if TYPE_CHECKING:
    from ainerd.technique import Question

HEAD = """\
# Settings of an instrument for ainerd. Relative paths start at the folder of this file; the environment overrides any
# key, e.g. AINERD_STEERING__DOSE_LIMIT=2. To check the file: ainerd check {name} --draw picture.png
"""


def init(
    out: Annotated[Path, typer.Argument(help="The file to write.")] = Path("agent.toml"),
    technique: Annotated[str, typer.Option(help="How runs are analysed: an installed technique.")] = DEFAULT_TECHNIQUE,
    answers: Annotated[list[str] | None, typer.Option("--set", help="An answer in advance: KEY=VALUE.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: use defaults for keys without --set.")] = False,
    startup: Annotated[Path | None, typer.Option(help="Folder for a startup file that builds the agent.")] = None,
    layout: Annotated[
        Layout, typer.Option(help="Kind of that folder: of IPython, or of a BITS package.")
    ] = Layout.ophyd,
    force: Force = False,
) -> None:
    """Ask a few questions, write the settings of an instrument with comments, and check them.

    With `--startup`, settings that exist are kept, and only the startup file is written.
    """
    from ainerd.config import Settings
    from ainerd.technique import load

    if startup is not None and out.exists() and not (answers or force):
        settings = Settings.load(out)
        recorded = [*settings.recorded.readings.values(), *settings.recorded.series.values()]
        _write(_startup(layout, out, startup, settings.detector.image, settings.steering.bounds, force, recorded))
        show(findings_of(out))
        return
    check_new(out, force)
    given: dict[str, Any] = {}
    for pair in answers or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set needs KEY=VALUE, got {pair!r}")
        given[key.strip()] = _read(value)
    name = str(given.setdefault("technique", technique))
    entries: list[tuple[str, Question, Any]] = []
    for section, conversation in ("", _general_questions(name)), (f"{name}.", load(name).questions()):
        answer: Any = None
        with suppress(StopIteration):
            while True:
                question = conversation.send(answer)
                key = f"{section}{question.key}"
                answer = given.pop(key) if key in given else question.default if yes else _ask(key, question)
                entries.append((key, question, answer))
    text = HEAD.format(name=out.name) + _toml(entries, given)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the answers are not valid TOML, nothing is written: {error}") from None
    files = {out: text}
    if startup is not None:
        answered = {key: value for key, _, value in entries}
        image, bounds = str(answered["detector.image"]), answered["steering.bounds"]
        if not isinstance(bounds, Mapping):
            raise ValueError(f"steering.bounds: --startup needs limits by the motors' names, got {bounds!r}")
        files |= _startup(layout, out, startup, image, bounds, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    _write(files)
    show(findings_of(out))


def _startup(
    layout: Layout, toml: Path, folder: Path, image: str, bounds: Iterable[str], force: bool, keys: Iterable[str] = ()
) -> dict[Path, str]:
    """Return the text of a startup file by its path, which must be new."""
    path, lines = startup_file(layout, toml, folder, image, [*bounds], keys)
    check_new(path, force)
    folder.mkdir(parents=True, exist_ok=True)
    return {path: lines}


def _write(files: Mapping[Path, str]) -> None:
    for path, lines in files.items():
        path.write_text(lines, encoding="utf-8")
        print(f"{path} is written")


def _general_questions(technique: str) -> Generator["Question", Any, None]:
    from ainerd.technique import Question

    yield Question(key="name", text="name of the agent, which stands in every result", default="my_beamline")
    yield Question(key="technique", text="how runs are analysed", default=technique)
    image = yield Question(key="detector.image", text="data key of the frames", default="detector_image")
    stem = str(image).removesuffix("_image")
    for key, of, what in (
        ("n_frames", "num_images", "configuration key of the number of frames of an exposure"),
        ("frame_time_s", "acquire_period", "configuration key of the time from frame to frame, in s"),
    ):
        text = f"{what}; empty if the detector does not say"
        yield Question(key=f"detector.{key}", text=text, default=f"{stem}_cam_{of}")
    bounds = {"sample_x": [0.0, 10.0], "sample_y": [0.0, 10.0]}
    yield Question(key="steering.bounds", text="limits by the motors' names, in their unit", default=bounds)
    smallest = "radius of the smallest region that must not be missed, in the motors' unit"
    yield Question(key="steering.smallest_feature", text=smallest, example=1.0)
    for key, what, place in (
        ("uri", "address of a Tiled server; empty for one of its own", ""),
        ("directory", "folder of that server, and of raw runs that Tiled did not take", "output/tiled"),
        ("frames", "folders that frames may be read from", ["."]),
    ):
        yield Question(key=f"storage.{key}", text=what, default=place)


def _ask(key: str, question: "Question") -> Any:
    shown = "" if question.default is None else _value(question.default)
    text = typer.prompt(f"{question.text}\n  {key}", default=shown, show_default=bool(shown))
    return question.default if text == shown else _read(text)


def _read(text: str) -> Any:
    """Parse a TOML value. Return other text as it is, and None for empty text."""
    text = text.strip()
    if not text:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _toml(entries: list[tuple[str, "Question", Any]], more: Mapping[str, Any]) -> str:
    """Return the text of the TOML by section. The comment of each key is its question."""
    lines: dict[str, list[str]] = {"": []}
    for key, question, value in [*entries, *((key, None, value) for key, value in more.items())]:
        section, _, name = key.rpartition(".")
        shown = question.example if question is not None and value is None else value
        if value is not None or shown is not None:
            mark, comment = "# " * (value is None), "" if question is None else f"  # {question.text}"
            lines.setdefault(section, []).append(f"{mark}{name} = {_value(shown)}{comment}")
    return "\n".join("\n".join([f"\n[{section}]"] * bool(section) + of_it) for section, of_it in lines.items()) + "\n"


def _value(value: Any) -> str:
    """Format a value as TOML."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{as_json.dumps(key)} = {_value(x)}" for key, x in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return as_json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
