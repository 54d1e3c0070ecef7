"""Requests to the Hugging Face hub that outlast its short faults: repeated after waits that are bounded in all."""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pipeline.errors import InputError
from pipeline.storage.atomic import is_main_process

logger = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds to wait for the hub's answer, or for the next part of it."""
WAIT = 300.0
"""Seconds that a process waits for a busy or broken hub, in all; `L2A_HUB_WAIT` sets another number."""
LONGEST = 30.0
"""Seconds of one wait at most, where the hub does not say how long; the first is of one second."""
BUSY = (429, 500, 502, 503, 504)
"""Statuses of a hub that may answer later."""
waits: list[tuple[float, float]] = []
"""When each wait of this process began and ends, of the monotonic clock; threads wait at the same time."""


class BusyError(Exception):
    """The hub may answer later than there is time for; the text says when, and with which status."""


@contextmanager
def outlasting(*, patient: bool) -> Iterator[None]:
    """Inside, requests of huggingface_hub, which datasets and transformers use, wait as `_send` does."""
    from huggingface_hub import get_session

    client: Any = get_session()
    before = client.send
    client.send = partial(_send, getattr(before, "args", [before])[0], patient)
    try:
        yield
    finally:
        client.send = before


def _send(send: Any, patient: bool, request: Any, **options: Any) -> Any:
    """Send a request and, if the hub is busy or the connection ends, again after a while.

    A request sent without a timeout gets TIMEOUT. A body that a reset cuts off ends as one that a close cuts off:
    only after those huggingface_hub asks for the rest.

    Raises BusyError if the waits would exceed what is allowed, or at once if not `patient`.
    """
    http: Any = sys.modules[type(request).__module__.partition(".")[0]]
    given = request.extensions.get("timeout", {})
    limits = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT)
    request.extensions["timeout"] = limits | {part: time for part, time in given.items() if time is not None}
    # For its user agent huggingface_hub asks for this list once a day, and does without.
    patient = patient and not request.url.path.endswith("/api/agent-harnesses")
    tries = 0
    while True:
        tries += 1
        try:
            response = send(request, **options)
        except (http.ReadError, http.RemoteProtocolError) as error:
            if not patient:
                raise
            _wait(tries, 0, f"the connection ended, {error}")
            continue
        if response.status_code not in BUSY:
            response.iter_raw = partial(_body, response.iter_raw, http)
            return response
        response.close()
        asked, said = _asked(response), f"{response.status_code} {response.reason_phrase}"
        if not patient:
            raise BusyError(_when(asked, said))
        _wait(tries, asked, said)


def _wait(tries: int, asked: float, why: str) -> None:
    """Wait before a request is repeated, which a warning says.

    Args:
        tries: how often it has failed.
        asked: the seconds that the hub asks to wait; 0 if it does not say.

    Raises BusyError instead if that is more than what is left.
    """
    seconds = asked or min(2.0 ** (tries - 1), LONGEST)
    now = time.monotonic()
    this, allowed = (now, now + seconds), _allowed()
    if _total([*waits, this]) > allowed:
        raise BusyError(_when(asked, why))
    left = allowed - _total(waits)
    if is_main_process():
        logger.warning("hub: %s; trying again in %.0f s, for %.0f s at most (L2A_HUB_WAIT)", why, seconds, left)
    waits.append(this)
    time.sleep(seconds)


def _total(intervals: Sequence[tuple[float, float]]) -> float:
    """The seconds that are in one of the intervals, or in several."""
    total = until = 0.0
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _when(asked: float, why: str) -> str:
    return f"in {asked:.0f} s ({why})" if asked else f"later ({why})"


def _allowed() -> float:
    """The seconds that this process may wait. Raises InputError if `L2A_HUB_WAIT` is not a number of seconds."""
    text = os.environ.get("L2A_HUB_WAIT", "")
    if text and not re.fullmatch(r"\d{1,6}(\.\d+)?", text):
        raise InputError(f"L2A_HUB_WAIT: got {text}; accepted: a number of seconds, 0 to wait for nothing")
    return float(text) if text else WAIT


def _asked(response: Any) -> float:
    """The seconds that a response asks to wait, in `Retry-After` or as `t` of `RateLimit`; 0 if it does not say."""
    asked = response.headers.get("Retry-After", "")
    limit = re.search(r"\br=0;t=(\d+)", response.headers.get("RateLimit", ""))
    return float(asked) if asked.isdigit() else float(limit[1]) if limit else 0.0


def _body(chunks: Any, http: Any, *arguments: Any, **options: Any) -> Iterator[bytes]:
    try:
        yield from chunks(*arguments, **options)
    except http.ReadError as error:
        raise http.RemoteProtocolError(str(error)) from error
