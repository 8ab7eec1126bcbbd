"""Print the settings of Tiled's web interface with our views: ``python -m ainerd.server.pages > ui.yml``."""

import sys

import yaml

from ainerd.server.pages import ui_settings

yaml.safe_dump(ui_settings(*sys.argv[1:2]), sys.stdout, sort_keys=False)
