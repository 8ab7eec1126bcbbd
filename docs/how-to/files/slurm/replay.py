"""Analyse runs again on SLURM: python replay.py JOBS [OPTIONS of ainerd replay].

Each job is a worker of one process. Its environment is that of this command, with the key of Tiled.
"""

import subprocess
import sys

from dask_jobqueue import SLURMCluster

if __name__ == "__main__":
    jobs, options = int(sys.argv[1]), sys.argv[2:]
    with SLURMCluster(cores=1, processes=1, memory="2 GiB", walltime="02:00:00") as cluster:
        cluster.scale(jobs=jobs)
        workers = cluster.scheduler_address
        sys.exit(subprocess.run([sys.executable, "-m", "ainerd", "replay", "--dask", workers, *options]).returncode)
