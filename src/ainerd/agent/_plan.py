"""Plans that say so when somebody forgets to hand them to the RunEngine."""

from collections.abc import Generator
from typing import Any

from bluesky.utils import Plan


class AgentPlan(Plan):
    """A bluesky `Plan`, which warns when it goes unused, and says at the prompt what to do with it."""

    def __init__(self, call: str, messages: Generator[Any, Any, Any]) -> None:
        def plan() -> Generator[Any, Any, Any]:
            return messages

        plan.__name__ = call
        super().__init__(plan)
        self.call = call

    def __repr__(self) -> str:
        return f"<a plan, nothing is measured yet: RE({self.call})>"
