import time
import uuid

import pytest

from ainerd.documents import checked


def test_only_documents_pass():
    start = {"uid": str(uuid.uuid4()), "time": time.time()}
    assert checked("start", start) == ("start", start)
    for name, doc, message in [
        ("stop", start, "stop document"),
        ("start", {"uid": 5, "time": 1.0}, "start document"),
        ("beginning", start, "no kind of document"),
        (None, start, "no kind of document"),
    ]:
        with pytest.raises(ValueError, match=message):
            checked(name, doc)
