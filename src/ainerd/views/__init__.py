"""What a person sees: figures of an exposure and of a campaign, and lines and tables for the terminal."""

from ainerd.views._exposure import exposure_figure
from ainerd.views._figure import campaign_figure
from ainerd.views._summary import results_table, run_line, status_panel

__all__ = ["campaign_figure", "exposure_figure", "results_table", "run_line", "status_panel"]
