"""Hook of a script without Bluesky: after an acquisition, fetch the next position from ainerd, and move there.

`run` has the form that ``det_acq_series(hooks=[{"location": "next_position.py"}])`` of APS 8-ID calls. It needs Python
alone. Two variables of the environment name the Tiled server and a key for it: ``AINERD_STORAGE__URI``, such as
``http://tiled.beamline:8000/api/v1``, and ``AINERD_STORAGE__API_KEY``. With several agents, write a name into `AGENT`.
"""

import json
import os
import time
import urllib.error
import urllib.request

AINERD = "ainerd"  # path of the node of that name
AGENT = None  # name of the agent; None for the only one
WAIT_S = 120.0  # for the result of the last acquisition
ANSWER_S = 10.0  # for the answer after that
AGAIN_S = 0.5  # between two looks


def move(position):
    """Move the motors to a position, by name, and wait. Write here what your beamline does, for example this."""
    from epics import caput

    for name, x in position.items():
        caput({"sample_x": "8idiSoft:sample_x", "sample_y": "8idiSoft:sample_y"}[name], x, wait=True)


def run(**_):
    """Fetch the next position, move there, and return the answer of ainerd. Without a position return None."""
    answer = fetch(time.time_ns())
    if "position" not in answer:
        print(f"ainerd has no next position: {answer['answer']}")
        return None
    print(f"ainerd: {answer['position']}, {answer['reason']}")
    move(answer["position"])
    return answer


def fetch(number):
    """Leave a command for the agent, and return its answer. Each number gets one position, also if it is asked twice.

    A command is a node of Tiled. The agent writes the answer into its metadata.
    """
    key, end, why, is_sent = f"script-{number}", time.monotonic() + WAIT_S + ANSWER_S, "it does not answer", False
    command = {"do": "next", "by": "script", "wait_s": WAIT_S, "status": "asked"}
    node = {"id": key, "structure_family": "container", "data_sources": [], "metadata": command, "specs": []}
    while time.monotonic() < end:
        try:
            commands = f"metadata/{AINERD}/agents/{agent()}/commands"
            if not is_sent:
                send(commands, node)
                is_sent = True
            answer = ask(f"{commands}/{key}")["data"]["attributes"]["metadata"]
            if answer["status"] != "asked":
                return answer
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                return {"answer": f"the key is refused: {error.reason}"}
            why = error.reason
        except (OSError, LookupError) as error:  # the server or the agent is being started
            why = error
        time.sleep(AGAIN_S)
    return {"answer": f"none in {WAIT_S:g} s: {why}"}


def agent():
    """Return the key of the agent's node; LookupError if there is none."""
    for node in ask(f"search/{AINERD}/agents?fields=metadata")["data"]:
        if AGENT in (None, node["attributes"]["metadata"].get("agent")):
            return node["id"]
    raise LookupError("no agent has been here")


def send(path, node):
    """Create a node, unless it exists."""
    try:
        ask(path, json.dumps(node).encode())
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


def ask(path, body=None):
    """Return the answer of Tiled to a request."""
    headers = {"Authorization": f"Apikey {os.environ['AINERD_STORAGE__API_KEY']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{os.environ['AINERD_STORAGE__URI'].rstrip('/')}/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)
