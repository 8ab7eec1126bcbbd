"""HDF5: a file that cannot be closed, since the disk is full, ends the process."""

import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 100_000  # bytes of a file; as on a full disk, later writes fail
WRITER = """
import sys
import h5py
file = h5py.File(sys.argv[1], "w", libver="latest")
data = file.create_dataset("data", (0, 1000), maxshape=(None, 1000), chunks=(1, 1000))
file.swmr_mode = True
try:
    for n in range(1, 100):
        data.resize(n, axis=0)
        data[n - 1] = n
        data.flush()
except (OSError, RuntimeError) as error:
    print("writing:", str(error)[:60])
try:
    file.close()
except (OSError, RuntimeError) as error:
    print("closing:", str(error)[:60])
"""


def limited() -> None:
    """Let writes beyond the limit fail, without the signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "frames.h5"
    done = subprocess.run([sys.executable, "-c", WRITER, path], preexec_fn=limited, capture_output=True, text=True)
print(done.stdout, end="")
print("the process ended with", done.returncode)
print("mended" if done.returncode == 0 else "shown")
