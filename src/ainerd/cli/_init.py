"""`ainerd init`: write the settings of an instrument, and a startup file, from templates."""

import json
import re
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from ainerd import DEFAULT_TECHNIQUE
from ainerd.cli._check import findings_of, show
from ainerd.cli._shared import Force, check_new
from ainerd.cli._startup import Layout, filled, startup_file

Sections = dict[str, list[str]]
IMAGE = {Layout.ophyd_async: ("detector", "detector-driver-")}  # keys of frames, and of the configuration


def init(
    out: Annotated[Path, typer.Argument(help="The file to write.")] = Path("agent.toml"),
    technique: Annotated[str, typer.Option(help="How runs are analysed: an installed technique.")] = DEFAULT_TECHNIQUE,
    given: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE: the value of a key; an empty one leaves it out.")
    ] = None,
    startup: Annotated[Path | None, typer.Option(help="Folder for a startup file that builds the agent.")] = None,
    layout: Annotated[Layout, typer.Option(help="Kind of session: of IPython, or of a BITS package.")] = Layout.ophyd,
    force: Force = False,
) -> None:
    """Write the settings of an instrument, with a comment for each key, and check them.

    With `--startup`, settings that exist are kept, and only the startup file is written.
    """
    from ainerd.config import Settings, SettingsError
    from ainerd.technique import load

    if startup is not None:
        check_new(startup / layout.file, force)
    if startup is None or not out.exists() or given:
        check_new(out, force)
        image, configured = IMAGE.get(layout, ("detector_image", "detector_cam_"))
        names = {"file": out.name, "technique": technique, "image": image, "configured": configured}
        sections = _sections(filled("agent.toml", **names))
        for name, lines in _sections(load(technique).template()).items():
            sections[name] = [*sections[name], *lines[1:]] if name in sections else lines
        for pair in given or []:
            key, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"--set needs KEY=VALUE, got {pair!r}")
            _set(sections, key.strip(), value.strip())
        text = "\n\n".join("\n".join(lines) for lines in sections.values() if lines) + "\n"
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"the values of --set are not valid TOML, nothing is written: {error}") from None
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        print(f"{out} is written")
    if startup is not None:
        try:
            text = startup_file(layout, out, startup, Settings.load(out))
            startup.mkdir(parents=True, exist_ok=True)
            (startup / layout.file).write_text(text, encoding="utf-8")
            print(f"{startup / layout.file} is written")
        except SettingsError:
            print(f"no startup file is written: correct {out}, then give --startup again, without --set")
    show(findings_of(out))


def _sections(text: str) -> Sections:
    """Return the lines of a TOML by its sections, also of those that are commented out."""
    sections: Sections = {}
    name = ""
    for line in text.splitlines():
        if header := re.match(r"(?:# )?\[([\w.-]+)\]", line):
            name = header[1]
        if line:
            sections.setdefault(name, []).append(line)
    return sections


def _set(sections: Sections, key: str, text: str) -> None:
    """Replace the line of a key, which may be commented out, or add one; comment it out without a text.

    A text that is no value of TOML is a string. The keys of a table are set one by one where it is a section.
    """
    section, _, name = key.rpartition(".")
    value: object = text
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if text.startswith(("[", "{")):
            raise ValueError(f"--set {key}: {text} is not valid TOML, nothing is written: {error}") from None
        text = json.dumps(text, ensure_ascii=False) if text else ""
    if isinstance(value, dict) and key in sections:
        for inner, each in value.items():
            _set(sections, f"{key}.{inner}", json.dumps(each, ensure_ascii=False))
        return
    parent, _, table = section.rpartition(".")
    if any(re.match(rf"{re.escape(table)} = ", line) for line in sections.get(parent, [])):
        raise ValueError(f"--set {key}: {table} is a table in one line, give all of it: --set {section}='{{…}}'")
    lines = sections.setdefault(section, [f"[{section}]"])
    at = next((i for i, line in enumerate(lines) if re.match(rf"(?:# )?{re.escape(name)} = ", line)), len(lines))
    was, _, comment = lines[at].partition("  # ") if at < len(lines) else ("", "", "")
    if text:
        lines[0] = lines[0].removeprefix("# ") if section else lines[0]
        meaning = comment.removeprefix("e.g.").removeprefix(": ")
        lines[at : at + 1] = [f"{name} = {text}" + (f"  # {meaning}" if meaning else "")]
    elif was and not was.startswith("# "):
        lines[at] = f"# {lines[at]}"
