"""Documents of runs whose frames are in files, made part by part."""

from event_model import compose_run

NUMBER = {"dtype": "number", "shape": [], "source": "sim"}


def image(*shape, **about):
    """The data key of frames in files, of the shape of an index."""
    return {"dtype": "array", "dtype_numpy": "<u2", "shape": [*shape], "source": "sim", "external": "STREAM:", **about}


def held(*shape):
    """The data key of frames in events."""
    return {"dtype": "array", "dtype_numpy": "<u2", "shape": [*shape], "source": "sim"}


def sent_to(run, documents):
    """Give a run its documents, and return it."""
    for name, doc in documents:
        run(name, doc)
    return run


class Flight(list):
    """The documents of a run so far."""

    def __init__(self, **start):
        self.run = compose_run(metadata=start)
        super().__init__([("start", self.run.start_doc)])

    def stream(self, name, data_keys, units=(), **settings):
        """Describe a stream, with settings of its detector, and some of their units."""
        configured = {"data": settings, "timestamps": dict.fromkeys(settings, 0.0)}
        configured["data_keys"] = {key: NUMBER | ({"units": units[key]} if key in units else {}) for key in settings}
        stream = self.run.compose_descriptor(
            name=name, data_keys=data_keys, configuration={"det": configured}, object_keys={"det": [*data_keys]},
            validate=False,
        )  # fmt: skip
        self.append(("descriptor", stream.descriptor_doc))
        return stream

    def file(self, path, dataset="d", *, key="det", host="localhost", mimetype="application/x-hdf5", **parameters):
        """Name a file of frames."""
        uri, parameters = f"file://{host}{path}", {"dataset": dataset, "swmr": False, **parameters}
        file = self.run.compose_stream_resource(mimetype=mimetype, uri=uri, data_key=key, parameters=parameters)
        self.append(("stream_resource", file.stream_resource_doc))
        return file.stream_resource_doc

    def frames(self, file, stream, start, stop, number=None):
        """Announce indices start … stop - 1; `number` is the sequence number of the first one, 0 if it is not known."""
        number = start + 1 if number is None else number
        numbers = {"start": number, "stop": number + stop - start if number else 0}
        doc = {"uid": f"{file['uid']}/{start}/{len(self)}", "stream_resource": file["uid"], "seq_nums": numbers}
        doc |= {"descriptor": stream.descriptor_doc["uid"], "indices": {"start": start, "stop": stop}}
        self.append(("stream_datum", doc))

    def event(self, stream, time=None, seq_num=None, **data):
        """Read something; by default each time is later than the one before."""
        time = 100.0 + len(self) if time is None else time
        stamps = dict.fromkeys(data, time)
        self.append(("event", stream.compose_event(data=data, timestamps=stamps, time=time, seq_num=seq_num)))

    def stop(self, **about):
        """End the run, and return its documents."""
        self.append(("stop", {**self.run.compose_stop(), **about}))
        return self
