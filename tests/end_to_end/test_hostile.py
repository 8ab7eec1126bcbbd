"""The hostile half-hour in short: `python -m studies.hostile` is the long one."""

import logging

import pytest

from studies.hostile import SHARES, hostile


@pytest.mark.fault(
    "documents, metadata, files, settings and requests of any kind",
    "one result for each run, a reason for what is refused; nothing is opened outside, nothing left open",
)
def test_nothing_that_is_sent_does_harm(server, tmp_path, monkeypatch):
    monkeypatch.setattr("ainerd.documents._growing.ATTEMPTS", 14)
    logging.disable(logging.CRITICAL)
    try:
        client = server.client().create_container(tmp_path.name)
        rows, _ = hostile(client, tmp_path, 115, seed=1, apart=False)
    finally:
        logging.disable(logging.NOTSET)
    assert {row["what"] for row in rows} >= set(SHARES) and sum(row["inputs"] for row in rows) > 115
    assert [row["which"] for row in rows if row["wrong"]] == []
