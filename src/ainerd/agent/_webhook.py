"""Messages to a web address: a chat, or a logbook such as Olog, learns of claims, alarms, failures and the end."""

import logging
import queue
import threading
from typing import Any

import httpx

from ainerd.words import utc_now

logger = logging.getLogger(__name__)

PAUSES_S = (1.0, 5.0, 30.0)  # before each new attempt
TIMEOUT_S = 10.0  # of a connection, and of each part of the answer
CLOSE_S = 5.0  # longest wait at the end of a session
MOST_WAITING = 100  # messages; more are left out
LONGEST = 2000  # characters of a sentence


class Webhook:
    """Sends messages to one address, in a thread; nothing waits for it but the end of the session, for `CLOSE_S`.

    A message is a POST of a JSON object: ``event`` (claim, alarm, failure or end), ``agent``, ``time`` (UTC), ``text``
    (a sentence), and ``scan``, ``run`` and ``result`` if it is about a result. Any answer 2xx accepts it; the rest of
    the answer is not read. Redirects are not followed, because the address may hold a token, which goes to nobody else.
    A message that is not accepted is sent again after `PAUSES_S`, and then left out. The log gets one line when this
    begins, and one when messages are accepted again; neither names the address.

    Parameters
    ----------
    url : str
    agent : str
        Name of the agent.
    """

    def __init__(self, url: str, agent: str) -> None:
        self._url, self._agent = httpx.URL(url), agent
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._ends = threading.Event()
        self._is_failing = False
        self._thread = threading.Thread(target=self._work, name="ainerd-webhook", daemon=True)
        self._thread.start()

    def post(self, event: str, text: str, **about: Any) -> None:
        """Send a message soon, and return at once."""
        if self._waiting.qsize() < MOST_WAITING:
            message = {"event": event, "agent": self._agent, "time": utc_now(), "text": text[:LONGEST], **about}
            self._waiting.put(message)
        else:
            self._failed(f"{MOST_WAITING} messages wait")

    def close(self) -> None:
        """Send what waits, until a message is not accepted, and for `CLOSE_S` at most."""
        self._ends.set()
        self._waiting.put(None)
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        here = self._url.host in ("127.0.0.1", "localhost", "::1")
        # httpx logs the address of each request
        logging.getLogger("httpx").addFilter(self._names_no_address)
        try:
            with httpx.Client(timeout=TIMEOUT_S, trust_env=not here, follow_redirects=False) as http:
                while (message := self._waiting.get()) is not None and (
                    self._send(http, message) or not self._ends.is_set()
                ):
                    pass
        finally:
            logging.getLogger("httpx").removeFilter(self._names_no_address)

    def _send(self, http: httpx.Client, message: dict[str, Any]) -> bool:
        """Return whether a message was accepted."""
        for pause in (*PAUSES_S, None):
            try:
                with http.stream("POST", self._url, json=message) as answer:
                    why = "" if answer.is_success else f"it answers {answer.status_code}"
            except Exception as error:  # a message must not end the thread; the text may hold the address
                why = type(error).__name__
            if not why:
                if self._is_failing:
                    logger.warning("the webhook accepts messages again")
                self._is_failing = False
                return True
            if pause is None or self._ends.wait(pause):
                break
        self._failed(why)
        return False

    def _failed(self, why: str) -> None:
        if not self._is_failing:
            logger.warning("the webhook does not accept messages, they are left out: %s", why)
        self._is_failing = True

    def _names_no_address(self, record: logging.LogRecord) -> bool:
        return str(self._url) not in record.getMessage()
