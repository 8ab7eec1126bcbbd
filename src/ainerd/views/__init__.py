"""Figures of a campaign, reports, and lines for the terminal."""

from ainerd.views._figure import campaign_figure, panel_names, principal_axes, save_panel
from ainerd.views._live import LiveFigure, refresh_all
from ainerd.views._report import Report, Section, read_handover, read_report
from ainerd.views._report_files import report_html, report_markdown, write_report
from ainerd.views._scene import Next, Scene, SceneReader, kinds_of, newest_and_nearest
from ainerd.views._style import UNASSIGNED, empty_panel, panel_title, regime_colour
from ainerd.views._terminal import Logbook, run_line, status_panel

__all__ = [
    "LiveFigure", "Logbook", "Next", "Report", "Scene", "SceneReader", "Section", "UNASSIGNED", "campaign_figure",
    "empty_panel", "kinds_of", "newest_and_nearest", "panel_names", "panel_title", "principal_axes", "read_handover",
    "read_report", "refresh_all", "regime_colour", "report_html", "report_markdown", "run_line", "save_panel",
    "status_panel", "write_report",
]  # fmt: skip
