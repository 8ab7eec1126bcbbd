"""Whether the numbers of a result are right, and their errors what they say.

Frames are made here, by code that shares nothing with `ainerd.dynamics`: Gaussian speckle of any relaxation, scatterers
summed as fields, a beam that is moved over its own scattering. Five tables: fits and their errors, what spoils a run,
flow, runs as they are taken (a RunEngine, the simulated instrument and a Tiled server), and time per frame.
"""

import argparse

from studies import _numbers_fits, _numbers_flow, _numbers_runs, _numbers_spoilt, _numbers_time
from studies._report import report

PARTS = {
    "fits": _numbers_fits.rows,
    "spoilt": _numbers_spoilt.rows,
    "flow": _numbers_flow.rows,
    "runs": _numbers_runs.rows,
    "time": _numbers_time.rows,
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of {', '.join(PARTS)}; all without it")
    parser.add_argument("--quick", action="store_true", help="fewer runs of each kind")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    for part in arguments.parts:
        report(f"numbers_{part}", PARTS[part](arguments.quick), quick=arguments.quick)


if __name__ == "__main__":
    main()
