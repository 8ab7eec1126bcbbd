"""What a person sees: the figure of a campaign, and lines for the terminal."""

from ainerd.views._figure import campaign_figure
from ainerd.views._latent_map import principal_axes
from ainerd.views._live import LiveFigure
from ainerd.views._panel import panel_names, save_panel
from ainerd.views._report import Report, Section, read_report
from ainerd.views._report_files import report_html, report_pdf, write_report
from ainerd.views._scene import Next, Scene, SceneReader, newest_and_nearest
from ainerd.views._terminal import Logbook, plain, run_line, status_panel

__all__ = [
    "LiveFigure",
    "Logbook",
    "Next",
    "Report",
    "Scene",
    "SceneReader",
    "Section",
    "campaign_figure",
    "newest_and_nearest",
    "panel_names",
    "plain",
    "principal_axes",
    "read_report",
    "report_html",
    "report_pdf",
    "run_line",
    "save_panel",
    "status_panel",
    "write_report",
]
