"""The text of a report: self-contained HTML, or Markdown for an electronic logbook."""

import base64
import io
import re
from html import escape
from pathlib import Path

from ainerd.views._report import Report, Section
from ainerd.words import printable

DPI = 110
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
    """Write a report to an HTML file and return its path.

    Examples
    --------
    >>> section = Section(title="Results", table=[["scan", "p"], ["3", "0.01"]])
    >>> report = Report(title="A night", subtitle="PEG 3", sections=[section])
    >>> write_report(report, folder / "night.html").read_text()[:15]
    '<!doctype html>'
    """
    path.write_text(report_html(report), encoding="utf-8")
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
