"""Hook of a script without Bluesky: after an acquisition, fetch the next position from ainerd, and move there.

`run` has the form that ``det_acq_series(hooks=[{"location": "next_position.py"}])`` of APS 8-ID calls. It needs Python
alone. Two variables of the environment say where ainerd is: ``AINERD_NEXT``, such as
``http://tiled.beamline:8000/custom/ainerd/next``, and ``AINERD_STORAGE__API_KEY``.
"""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

WAIT_S = 120.0  # for the result of the last acquisition
AGAIN_S = 1.0  # between two attempts to reach a server that is away


def move(position):
    """Move the motors to a position, by name, and wait. Write here what your beamline does, for example this."""
    from epics import caput

    for name, x in position.items():
        caput({"sample_x": "8idiSoft:sample_x", "sample_y": "8idiSoft:sample_y"}[name], x, wait=True)


def run(**_):
    """Fetch the next position, move there, and return it. Without a position return None."""
    answer = fetch(time.time_ns())
    if "position" not in answer:
        print(f"ainerd has no next position: {answer.get('answer')}")
        return None
    print(f"ainerd: {answer['position']}, {answer['reason']}")
    move(answer["position"])
    return answer


def fetch(number):
    """Return the answer of ainerd. The same number gets the same position, so that each is handed out once."""
    end, why = time.monotonic() + WAIT_S, "it does not answer"
    while (left := end - time.monotonic()) > 0:
        query = urllib.parse.urlencode({"id": f"script-{number}", "wait_s": round(WAIT_S)})
        key = {"Authorization": f"Apikey {os.environ['AINERD_STORAGE__API_KEY']}"}
        request = urllib.request.Request(f"{os.environ['AINERD_NEXT']}?{query}", headers=key)
        try:
            with urllib.request.urlopen(request, timeout=left) as response:
                if response.status == 200:
                    return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                return json.load(error)
            if error.code in (401, 403):
                return {"answer": f"the key is refused: {error.reason}"}
            why = error.reason  # 404 while the server starts, 503 while no agent has been there
            time.sleep(AGAIN_S)
        except OSError as error:  # the server is being started again
            why = error
            time.sleep(AGAIN_S)
    return {"answer": f"none in {WAIT_S:g} s: {why}"}
