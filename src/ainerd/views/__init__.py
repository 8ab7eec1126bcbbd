"""What a person sees: figures of an exposure and of a campaign, and lines and tables for the terminal."""

from ainerd.views._azimuth_figures import cluster_figure, latent_figure, similarity_figure
from ainerd.views._azimuths import Azimuths, read_azimuths
from ainerd.views._coincidence import Coincidence, coincidence
from ainerd.views._during import WhileRunning, show_progress_of
from ainerd.views._exposure import exposure_figure
from ainerd.views._figure import campaign_figure
from ainerd.views._latent_noise import neighbourhood_figure
from ainerd.views._live import LiveFigure
from ainerd.views._logbook import Logbook
from ainerd.views._plain import plain
from ainerd.views._relaxation import timeline_figure
from ainerd.views._scene import Next, Scene, SceneReader
from ainerd.views._summary import results_table, run_line, status_panel

__all__ = [
    "Azimuths",
    "Coincidence",
    "LiveFigure",
    "Logbook",
    "Next",
    "Scene",
    "SceneReader",
    "WhileRunning",
    "campaign_figure",
    "cluster_figure",
    "coincidence",
    "exposure_figure",
    "latent_figure",
    "neighbourhood_figure",
    "plain",
    "read_azimuths",
    "results_table",
    "run_line",
    "show_progress_of",
    "similarity_figure",
    "status_panel",
    "timeline_figure",
]
