"""A catalogue that an older version wrote is opened, continued, and shown with the version that made its numbers."""

import shutil

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from ainerd import __version__
from ainerd.views import report_html
from tests.end_to_end.older_catalogue import FOLDER, FRAMES, ONE_BIN, write_bank
from tests.end_to_end.sessions import Session

CATALOGUES = sorted(FOLDER.glob("*.zip"))
NUMBERS = ["status", "novelty_p", "regime", "sample_x", "sample_y", "tau_s", "contrast"]


@pytest.mark.parametrize("packed", CATALOGUES, ids=lambda path: path.stem)
def test_a_session_continues_the_catalogue_of_an_older_version(packed, tmp_path, monkeypatch):
    monkeypatch.setenv(*ONE_BIN)
    monkeypatch.setenv("AINERD_RHEO_XPCS__BANK", str(write_bank(tmp_path)))
    shutil.unpack_archive(packed, tmp_path / "tiled")
    session = Session(tmp_path)
    session.expect(FRAMES)
    try:
        before = session.table()
        assert before["status"].tolist() == ["complete", "complete", "failed"]
        assert before["novelty_p"].between(0, 1).tolist() == [True, True, False]
        away = [before[name].dropna() - session.agent.suggest()[name] for name in ("sample_x", "sample_y")]
        assert np.hypot(*away).min() > 3  # the older exposures count
        session.RE(session.agent.explore(1))
        after = session.table()
        assert_frame_equal(after.loc[before.index, NUMBERS], before[NUMBERS])
        new = after.iloc[-1]
        assert new["status"] == "complete" and new["regime"] >= 0
        versions = [session.store.record(key).software["version"] for key in after.index]
        assert versions == [packed.stem] * 3 + [__version__]
        assert session.store.versions() == {packed.stem: 3, __version__: 1}
        assert f"3 by {packed.stem}" in report_html(session.store)
    finally:
        session.close()
