"""Errors and log at the prompt. ``%tb Context`` shows the origin of an error."""

import logging

from rich.logging import RichHandler

c = get_config()  # noqa: F821  (IPython defines it)
c.InteractiveShell.xmode = "Minimal"
# bluesky's log repeats the error of a plan, with its traceback, and warns after each abort.
REPEATED = "Run aborted", "No open traces left to close!"
logging.getLogger("bluesky").addFilter(lambda record: record.getMessage() not in REPEATED)
sentences = RichHandler(show_time=False, show_level=False, show_path=False, highlighter=None)  # above the prompt
for package in ("ainerd", "ainerd_xpcs", "ainerd_xtec"):
    log = logging.getLogger(package)
    log.addHandler(sentences)
    log.setLevel(logging.INFO)
    log.propagate = False
