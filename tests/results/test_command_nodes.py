"""Commands are nodes of Tiled: an agent learns of each from the stream, and finds all of them when it looks."""

import threading

import pytest

from ainerd.results import AgentNode, commands
from tests.waiting import until

QUICK_S = 30.0  # without the stream, the agent of this file never looks


@pytest.fixture
def node(ainerd):
    node = AgentNode(ainerd, "far")
    node.open()
    return node


@pytest.mark.parametrize("kind", [commands.Hold, commands.Accept])
def test_an_agent_hears_of_a_command_at_once_and_its_sender_has_the_answer(node, ainerd, kind):
    heard, answers, command = threading.Event(), [], kind(by="Ann")
    streams = node.listen(heard.set)
    while not heard.wait(0.2):  # the stream has not begun
        node.send(kind(by="Bob"))
    heard.clear()
    sender = threading.Thread(target=lambda: answers.append(AgentNode(ainerd, "far").ask(command, QUICK_S)))
    sender.start()
    (place,) = until(lambda: heard.is_set() and [place for place, _ in node.commands() if place[1] == command.id])
    assert place == (commands.container_of(command), command.id)
    node.answer(*place, "done", "it is obeyed")
    sender.join(QUICK_S)
    assert [(answer["status"], answer["answer"]) for answer in answers] == [("done", "it is obeyed")]
    for stream in streams:
        stream.close()


@pytest.mark.fault("A program leaves nodes that cannot be answered", "They are left out, and keep no place")
def test_nodes_that_cannot_be_answered_hide_no_command(node, ainerd):
    asked = commands.command_metadata(commands.Hold(by="Eve"), "far")
    for container in ainerd["agents"].values().first().values():
        container.create_container("#1", metadata=asked)
    for command in (box := commands.SetExcluded(regions=[]), hold := commands.Hold(by="Ann")):
        node.send(command)
    assert [place for place, _ in node.commands()] == [("holds", hold.id), ("commands", box.id)]


def test_a_command_that_nobody_answers_is_withdrawn(node):
    answer = node.ask(hold := commands.Hold(by="Ann"), 0.1)
    assert answer["status"] == "refused" and "withdrawn" in answer["answer"] and node.commands() == []
    assert not node.send(hold)
    assert "never been an agent" in AgentNode(node._ainerd, "nobody").ask(hold, 5.0)["answer"]
