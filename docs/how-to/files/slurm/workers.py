"""Workers of Dask in jobs of SLURM, each with one core, until Enter is pressed."""

from dask_jobqueue import SLURMCluster

with SLURMCluster(
    cores=16, processes=16, memory="64GB", walltime="04:00:00", job_script_prologue=["source ~/ainerd.env"]
) as cluster:  # the file exports AINERD_STORAGE__API_KEY, and only you can read it
    cluster.scale(jobs=4)
    input(f"--dask {cluster.scheduler_address}  dashboard: {cluster.dashboard_link}  Enter ends the jobs.\n")
