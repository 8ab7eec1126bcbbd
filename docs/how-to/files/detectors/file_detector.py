"""A device of ophyd whose frames another program writes: it emits the documents of the file."""

import time
from pathlib import Path

from event_model import compose_stream_resource
from ophyd.status import Status


class FileDetector:
    """A detector that is triggered; another program writes its file of `n_frames` frames."""

    parent = None

    def __init__(self, name, path, dataset, n_frames, shape, frame_time_s):
        self.name, self._path, self._dataset, self._n, self._shape = name, Path(path), dataset, n_frames, shape
        self._settings = {f"{name}_n_frames": n_frames, f"{name}_frame_time_s": frame_time_s}

    def stage(self):
        """Begin a run."""
        self._taken, self._bundle = 0, None
        return [self]

    def unstage(self):
        """End a run."""
        return [self]

    def trigger(self):
        """Start your program here; this one waits until the file is there."""
        status = Status(timeout=60)
        while not self._path.exists():
            time.sleep(0.1)
        self._taken += 1
        status.set_finished()
        return status

    def describe(self):
        """Return the data key of the frames."""
        shape = [self._n, *self._shape]
        return {
            f"{self.name}_image": {"source": str(self._path), "dtype": "array", "shape": shape, "external": "STREAM:"}
        }

    def read(self):
        """Return nothing: the frames are in the file."""
        return {}

    def describe_configuration(self):
        """Return the keys of the number of frames and of the frame time."""
        return {key: {"source": "", "dtype": "number", "shape": []} for key in self._settings}

    def read_configuration(self):
        """Return the number of frames and the frame time, in seconds."""
        return {key: {"value": value, "timestamp": time.time()} for key, value in self._settings.items()}

    def get_index(self):
        """Return how many exposures were taken."""
        return self._taken

    def collect_asset_docs(self, index=None):
        """Yield the documents of the file, and of the newest exposure."""
        if self._bundle is None:
            self._bundle = compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=f"file://localhost{self._path}",
                data_key=f"{self.name}_image",
                parameters={"dataset": self._dataset, "chunk_shape": [1, *self._shape], "swmr": False},
            )
            yield "stream_resource", self._bundle.stream_resource_doc
        last = {"start": self._taken - 1, "stop": self._taken}
        yield "stream_datum", self._bundle.compose_stream_datum(last)
