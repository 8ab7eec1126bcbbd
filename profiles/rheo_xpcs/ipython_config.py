"""What the prompt shows of an error: its message. ``%tb Context`` shows where it comes from."""

import logging

c = get_config()  # noqa: F821  (IPython defines it)
c.InteractiveShell.xmode = "Minimal"
# bluesky's log repeats the error of a plan, with its traceback, and warns after each abort.
REPEATED = "Run aborted", "No open traces left to close!"
logging.getLogger("bluesky").addFilter(lambda record: record.getMessage() not in REPEATED)
