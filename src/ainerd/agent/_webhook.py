"""Messages to a web address: a chat, or a logbook such as Olog, learns of claims, alarms, failures and the end."""

import logging
from functools import partial

import httpx

from ainerd.jobs import Jobs
from ainerd.words import utc_now

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0  # of a connection, and of each part of the answer
CLOSE_S = 5.0  # longest wait at the end of a session
LONGEST = 2000  # characters of a sentence


class Webhook:
    """Sends messages to one address, in a thread; nothing waits for it but the end of the session, for `CLOSE_S`.

    A message is a POST of a JSON object: ``event`` (new, alarm, failure or end), ``agent``, ``time`` (UTC), ``text``
    (a sentence), and ``scan``, ``run`` and ``result`` if it is about a result. Any answer 2xx accepts it; the rest of
    the answer is not read. Redirects are not followed, because the address may hold a token, which goes to nobody else.
    A message that is not accepted is left out, with a line in the log that does not name the address.

    Parameters
    ----------
    url : str
    agent : str
        Name of the agent.
    """

    def __init__(self, url: str, agent: str) -> None:
        self._url, self._agent = httpx.URL(url), agent
        here = self._url.host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=not here, follow_redirects=False)
        logging.getLogger("httpx").addFilter(self._names_no_address)  # it logs the address of each request
        self._jobs = Jobs("ainerd-webhook")
        self._jobs.start()

    def post(self, event: str, text: str, **about: object) -> None:
        """Send a message soon, and return at once."""
        message = {"event": event, "agent": self._agent, "time": utc_now(), "text": text[:LONGEST], **about}
        self._jobs.submit(partial(self._send, message))

    def close(self) -> None:
        """Send the waiting messages, for `CLOSE_S` at most."""
        self._jobs.submit(self._close)
        self._jobs.close(CLOSE_S)

    def _close(self) -> None:
        self._http.close()
        logging.getLogger("httpx").removeFilter(self._names_no_address)

    def _send(self, message: dict[str, object]) -> None:
        try:
            with self._http.stream("POST", self._url, json=message) as answer:
                why = "" if answer.is_success else f"it answers {answer.status_code}"
        except Exception as error:  # the text may hold the address
            why = type(error).__name__
        if why:
            logger.warning("the webhook did not accept a message: %s", why)

    def _names_no_address(self, record: logging.LogRecord) -> bool:
        return str(self._url) not in record.getMessage()
