"""The file of a report: self-contained HTML, PDF, or Markdown for an electronic logbook."""

import base64
import io
import re
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ainerd.views._report import Report, Section
from ainerd.words import printable

if TYPE_CHECKING:
    from matplotlib.backends.backend_pdf import PdfPages

DPI = 110
A4 = (8.27, 11.69)  # inches
COLUMNS, LINES, TYPE = 98, 78, 7.5  # of a page of text, and of its type in points
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; color: #1a1a1a; }
h1 { margin-bottom: 0; } h2 { margin-top: 1.8em; border-bottom: 1px solid #ccc; }
p.when { color: #666; margin-top: 0.2em; } li { margin: 0.25em 0; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25em 0.7em; text-align: left; vertical-align: top; }
th { background: #f3f3f3; }
figure { margin: 1.2em 0; }
img { max-width: 100%; }
figcaption { color: #444; font-size: 13px; }
"""


def write_report(report: Report, path: Path) -> Path:
    """Write a report to a file and return its path; ValueError if it ends neither in .html, .pdf nor .md.

    Examples
    --------
    >>> section = Section(title="Results", table=[["scan", "p"], ["3", "0.01"]])
    >>> report = Report(title="A night", subtitle="PEG 3", sections=[section])
    >>> [write_report(report, folder / name).read_bytes()[:4] for name in ("night.html", "night.pdf", "night.md")]
    [b'<!do', b'%PDF', b'# A ']
    """
    if path.suffix == ".html":
        path.write_text(report_html(report), encoding="utf-8")
    elif path.suffix == ".pdf":
        report_pdf(report, path)
    elif path.suffix == ".md":
        path.write_text(report_markdown(report), encoding="utf-8")
    else:
        raise ValueError(f"{path}: give a name that ends in .html, .pdf or .md")
    return path


def report_html(report: Report) -> str:
    """Return one page that loads nothing from elsewhere and runs no scripts; all text is escaped.

    Examples
    --------
    >>> report = Report(title="A <night>", subtitle="one sample", sections=[])
    >>> "A &lt;night&gt;" in report_html(report)
    True
    """
    title = escape(printable(report.title))
    parts = "".join(_html(section) for section in report.sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{STYLE}</style></head>
<body><h1>{title}</h1><p class="when">{escape(printable(report.subtitle))}</p>
{parts}</body></html>
"""


def report_markdown(report: Report) -> str:
    """Return the text of a report as Markdown (CommonMark, with tables), without figures; all text is escaped.

    Examples
    --------
    >>> section = Section(title="Results", lines=["5 of 6 results are complete."])
    >>> print(report_markdown(Report(title="A night", subtitle="PEG 3", sections=[section])))
    # A night
    <BLANKLINE>
    PEG 3
    <BLANKLINE>
    ## Results
    <BLANKLINE>
    - 5 of 6 results are complete.
    """
    parts = [f"# {_escaped(report.title)}", _escaped(report.subtitle)]
    for section in report.sections:
        parts.append(f"## {_escaped(section.title)}")
        if section.lines:
            parts.append("\n".join(f"- {_escaped(line)}" for line in section.lines))
        if section.table:
            head, *rows = (f"| {' | '.join(map(_escaped, row))} |" for row in section.table)
            parts.append("\n".join([head, "|" + " --- |" * len(section.table[0]), *rows]))
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Return text on one line that Markdown and HTML take as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(printable(text).split()))


def report_pdf(report: Report, path: Path) -> None:
    """Write pages of text, and each figure on a page of its own after its section."""
    from matplotlib.backends.backend_pdf import PdfPages  # slow to import

    with PdfPages(path, metadata={"Title": printable(report.title)}) as pages:
        lines = [printable(report.title).upper(), printable(report.subtitle), ""]
        for section in report.sections:
            lines += [*_text(section), ""]
            if section.figures:
                _write_text(pages, lines)
                lines = []
            for figure, caption in section.figures:
                figure.supxlabel(printable(caption), fontsize=9, parse_math=False)
                pages.savefig(figure)
        _write_text(pages, lines)


def _html(section: Section) -> str:
    text = [f"<h2>{escape(printable(section.title))}</h2>"]
    if section.lines:
        text.append(f"<ul>{''.join(f'<li>{escape(printable(line))}</li>' for line in section.lines)}</ul>")
    if section.table:
        head, *rows = section.table
        text.append(f"<table><tr>{''.join(f'<th>{escape(printable(cell))}</th>' for cell in head)}</tr>")
        text += [f"<tr>{''.join(f'<td>{escape(printable(cell))}</td>' for cell in row)}</tr>" for row in rows]
        text.append("</table>")
    for figure, caption in section.figures:
        label = escape(printable(caption))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        image = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        text.append(f'<figure><img alt="{label}" src="{image}"><figcaption>{label}</figcaption></figure>')
    return "\n".join(text) + "\n"


def _text(section: Section) -> Iterator[str]:
    """Yield the lines of a section in a monospaced font."""
    yield printable(section.title).upper()
    for line in section.lines:
        yield from textwrap.wrap(f"- {printable(line)}", COLUMNS, subsequent_indent="  ") or [""]
    if section.table:
        cells = [[printable(cell).replace("\n", " ") for cell in row] for row in section.table]
        widths = [min(max(map(len, column)), 60) for column in zip(*cells, strict=True)]
        for row in cells:
            shown = [
                text[: width - 1] + "…" if len(text) > width else text for text, width in zip(row, widths, strict=True)
            ]
            yield "  ".join(text.ljust(width) for text, width in zip(shown, widths, strict=True)).rstrip()


def _write_text(pages: "PdfPages", lines: list[str]) -> None:
    for start in range(0, len(lines), LINES):
        page = lines[start : start + LINES]
        widest = max(map(len, page), default=0)
        size = TYPE * min(1.0, (COLUMNS + 12) / max(widest, 1))
        figure = Figure(figsize=A4)
        figure.text(
            0.06, 0.96, "\n".join(page), family="monospace", fontsize=size, va="top", linespacing=1.35, parse_math=False
        )
        pages.savefig(figure)
