"""Answers and log lines of commands, their senders, and the number of answers that are kept."""

from campaign_toys import on, outcome

from ainerd.results.commands import Accept, Add, Exclude, Hold, Name, Next, Release, Take

ANN = {"by": "Ann", "why": "so"}


def test_each_command_has_its_answer_and_its_line_of_the_log(make, store):
    campaign = make()
    campaign.answer(outcome("a"))
    store.lines.clear(), store.by.clear()
    ready = campaign.peek().point
    here = campaign.rules.text(ready)
    answers = [
        campaign.apply(command).text
        for command in (
            Hold(by="Ann"), Hold(**ANN), Release(by="Ann"), Release(by="Ann"), on(Take, ready, by="Ann"),
            Add(position={"x": 0.5, "y": 3.0}, by="Bob"), Add(position={"x": 4.0, "y": 3.0}, by="Bob", why="a scratch"),
            Exclude(region={"x": (0.1, 0.9)}, by="Ann"), Name(regime=0, name="gel", by="Ann"),
            Name(regime=0, name="", by="Ann"), Accept(), Accept(by="Ann"), Next(by="a script"),
        )
    ]  # fmt: skip
    there = campaign.rules.text(campaign.state.handed_out[campaign.state.fetched[-1]].suggestion.position)
    no_more = "the agent takes no new suggestion until somebody releases it"
    assert answers == [
        no_more, no_more, "the plans continue", "the plans continue", "it is measured next",
        "it is number 2 in the queue", "it is number 3 in the queue",
        "the agent suggests no position in this region", *["the regime has this name now"] * 2,
        *["the plan has received this position"] * 2, answers[-1],
    ]  # fmt: skip
    assert [text for text, _ in store.lines] == [
        "Ann holds the campaign", "Ann holds the campaign: so", "Ann released the campaign", f"Ann took {here}",
        "Bob wants (0.500, 3.00) next", "Bob wants (4.00, 3.00) next: a scratch",
        "Ann excluded x 0.1 to 0.9", "Ann calls regime 0 'gel'",
        "Ann took the name of regime 0 away", f"a person accepted {here}", "Ann accepted (4.00, 3.00)",
        f"a script fetched {there}",
    ]  # fmt: skip
    assert store.by == [*["Ann"] * 4, *["Bob"] * 2, *["Ann"] * 3, "person", "Ann", None]
    assert campaign.state.names == {}
