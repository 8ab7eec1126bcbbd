"""``make demo``."""

import sys

print("ainerd: loading Bluesky, the simulated instrument and the agent …", file=sys.stderr, flush=True)

from agents.demo.campaign import main  # noqa: E402

if __name__ == "__main__":
    main()
