"""Asking a vendor: again where that helps, and in words where it does not.

Clients raise errors of their own; which sort each is, is read here from its class, its cause and its HTTP status. What
it says is quoted on one line, without keys. Knows no vendor's data.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias, TypeVar

from scenario_gen.errors import DataError
from scenario_gen.market.sources.base import Request, Vendor

Trouble: TypeAlias = Literal["limit", "keys", "unknown", "server", "nonsense", "network", "other"]
Answer = TypeVar("Answer")

WAITS = (1.0, 4.0, 16.0)  # seconds before it is asked again
SECRETS = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "ALPACA_API_KEY", "ALPACA_SECRET_KEY")

# Names of error classes, of any client or of Python, in the order in which they are looked for.
_NAMES: tuple[tuple[Trouble, tuple[str, ...]], ...] = (
    ("limit", ("YFRateLimitError", "RateLimitExceeded", "DDoSProtection")),
    ("keys", ("AuthenticationError", "PermissionDenied", "AccountNotEnabled")),
    ("unknown", ("YFTickerMissingError", "YFInvalidPeriodError", "BadSymbol", "BadRequest")),
    ("nonsense", ("JSONDecodeError", "InvalidJSONError", "BadResponse", "NullResponse", "ParserError", "NotSupported")),
    ("server", ("OnMaintenance", "YFDataException")),
    ("network", ("NetworkError", "ConnectionError", "Timeout", "TimeoutError", "URLError", "DNSError", "SSLError")),
    ("network", ("OSError",)),
    ("nonsense", ("KeyError", "TypeError", "IndexError", "AttributeError", "ValueError")),  # a client that stumbled
)
_OF_STATUS: dict[int, Trouble] = {
    401: "keys",
    403: "keys",
    404: "unknown",
    400: "unknown",
    422: "unknown",
    429: "limit",
}
_EXPECTED: dict[Trouble, str] = {
    "limit": "fewer requests: the vendor's limit is reached",
    "keys": "keys that the vendor takes, and a plan that has these bars",
    "unknown": "a symbol, a timeframe and dates that the vendor knows",
    "server": "an answer: the vendor's server says that it cannot now",
    "nonsense": "bars; what came is none of the vendor's answers, such as a page for people",
    "network": "a way to the vendor's server",
    "other": "bars",
}
_FIX: dict[Trouble, str] = {
    "limit": "wait some minutes and give the same command again; whole pages are kept",
    "keys": "check the keys in the environment and what the plan includes",
    "unknown": "correct data.symbol, data.timeframe or data.start",
    "server": "give the same command again later",
    "nonsense": "give the same command again later; where it stays so: pip install -U {client}",
    "network": "check network and proxy; without one, fetch where there is one (scenario-gen fetch ... --out FILE) and "
    "name that as data.file",
    "other": "give the same command again later, or save the bars to a file and name that as data.file",
}


def ask(call: Callable[[], Answer], vendor: Vendor, request: Request) -> Answer:
    """Return what a call to a vendor's client returns, asked again after a while where the trouble may pass.

    Raises:
        DataError: it does not pass, or is none that would.
    """
    for attempt in range(len(WAITS) + 1):
        try:
            with quietly():
                return call()
        except DataError:
            raise
        except Exception as error:  # a vendor's client may raise anything
            sort = sort_of(error)
            # A name that no server answers to stays so: one more try is for a network that wakes up.
            most = {"limit": len(WAITS), "server": len(WAITS), "nonsense": len(WAITS), "network": 1}.get(sort, 0)
            if attempt >= most:
                raise refusal(error, vendor, request) from None
            time.sleep(WAITS[attempt])
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what pandas and others warn a vendor's client of to themselves: it is not for the user to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def refusal(error: Exception, vendor: Vendor, request: Request) -> DataError:
    """Return a client's error in words: what was asked, what came, what to do."""
    sort = sort_of(error)
    said = f"{type(error).__name__}: {quoted(error)}"
    begun = {"network": "cannot be reached", "limit": "asks for patience"}.get(sort, "has no bars for this")
    return DataError(
        f"{request}: {vendor.title} {begun}: {said}",
        expected=_EXPECTED[sort],
        fix=_FIX[sort].format(client=vendor.client or "scenario-gen"),
    )


def empty(vendor: Vendor, request: Request) -> DataError:
    """Return the words for an answer without bars."""
    since = "" if request.start is None else f" from {request.start} on"
    until = "" if request.as_of is None else f" up to {request.as_of}"
    return DataError(
        f"{request}: {vendor.title} answers without a bar{since}{until}",
        expected=_EXPECTED["unknown"],
        fix=_FIX["unknown"],
    )


def sort_of(error: BaseException) -> Trouble:
    """Return what sort of trouble an error of a client is."""
    chain = list(_chain(error))
    for link in chain:
        status = _status(link)
        if status is not None and status >= 400:
            return _OF_STATUS.get(status, "server" if status >= 500 else "other")
    if any("too many requests" in str(link).lower() for link in chain):
        return "limit"
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    return next((sort for sort, known in _NAMES if names & set(known)), "other")


def quoted(error: BaseException) -> str:
    """Return what an error says, on one line, not long, and without a key."""
    text = " ".join(str(error).split())
    for name in SECRETS:
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    return text if len(text) <= 200 else text[:196] + "..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from; a pair of strangers that point at each other ends after ten."""
    link: BaseException | None = error
    for _ in range(10):
        if link is None:
            return
        yield link
        reason = getattr(link, "reason", None)
        link = link.__cause__ or (reason if isinstance(reason, BaseException) else link.__context__)


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error carries, on itself or on its response."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "code", "status"):
            try:
                status = getattr(holder, name, None)
            except Exception:  # alpaca reads the code from a body that may be no JSON
                continue
            if isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600:
                return status
    return None
