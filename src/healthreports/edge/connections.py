"""Limits on the number of connections, and on how long each may take to send a request.

A connection uses a file descriptor before the server knows who the client is. So there is a limit
for all connections, a limit for each client address, and a time limit for the head and for the body
of a request. If a limit is reached, the server closes the connection that has waited longest for
its first request, so a client that sends a request at once gets a connection. Closed connections
are counted, and the counts are logged every few seconds.
"""

import asyncio
import ipaddress
import logging
import resource
import time
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final, Protocol

import msgspec

log: Final = logging.getLogger("healthreports")

# File descriptors that are not for connections: database files, listening sockets, logs.
_RESERVED_FILES: Final = 64
_LOOK_EVERY_S: Final = 0.5
_LOG_EVERY_S: Final = 10.0


class Closed(StrEnum):
    """Why a connection was closed."""

    SILENT = "sent no request in time"
    HEAD = "did not complete the head of a request in time"
    BODY = "did not send a body in time"
    UNREAD = "did not read the answer in time"
    REPLACED = "had sent no request when its place was needed"
    REFUSED = "exceeded the limit of connections"


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits, in connections and seconds.

    `unread_s` is how long a client may take to read the end of an answer. Addresses in `trusted`
    are proxies; the limit for each address does not apply to them.
    """

    most: int
    most_from_address: int
    head_s: float
    body_s: float
    unread_s: float
    trusted: tuple[str, ...] = ()

    def within_files(self) -> "ConnectionLimits":
        """These limits, but not above the number of files that the process may open."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = max(1, min(self.most, soft - _RESERVED_FILES))
        from_address = min(self.most_from_address, max(1, most // 2))
        return msgspec.structs.replace(self, most=most, most_from_address=from_address)


class OpenConnection(Protocol):
    """An open connection. Times are in seconds of `time.monotonic`."""

    address: str
    # Since when it has been waiting for a head to begin or to end; None if it is not waiting.
    head_since: float | None
    # Since when a body has been arriving; None if none is.
    body_since: float | None

    @property
    def unread_bytes(self) -> int:
        """The number of bytes of a finished answer that still wait to be sent."""

    @property
    def is_read(self) -> bool:
        """Whether the server reads what the client sends; the application may be busy."""

    def close_now(self) -> None:
        """Close the connection immediately, even during a request."""


class Connections:
    """The connections of this process."""

    # The connections of the server that runs in this process, for metrics.
    here: ClassVar["Connections | None"] = None

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits.within_files()
        self.closed: Counter[Closed] = Counter()
        self._all: set[OpenConnection] = set()
        # The connections that wait for their first request, oldest first.
        self._new: dict[OpenConnection, None] = {}
        self._from: Counter[str] = Counter()
        self._unread_since: dict[OpenConnection, float] = {}
        self._networks = tuple(_networks(limits.trusted))
        self._is_looking = False
        self._logged: Counter[Closed] = Counter()
        self._logged_at = -_LOG_EVERY_S

    @property
    def number(self) -> int:
        """The number of open connections."""
        return len(self._all)

    def admit(self, one: OpenConnection) -> bool:
        """Add a new connection. Returns False if there is no room for it."""
        limits, address = self.limits, one.address
        is_crowd = self._from[address] >= limits.most_from_address
        if is_crowd and not self._is_trusted(address):
            alike = (other for other in self._new if other.address == address)
            if not self._replace(alike):
                return self._refuse()
        if len(self._all) >= limits.most and not self._replace(self._new):
            return self._refuse()
        self._all.add(one)
        self._new[one] = None
        self._from[address] += 1
        one.head_since = time.monotonic()
        if not self._is_looking:
            self._look_later()
        return True

    def has_asked(self, one: OpenConnection) -> None:
        """Note that the connection has sent a complete head, so it is no longer new."""
        self._new.pop(one, None)

    def leave(self, one: OpenConnection) -> None:
        """Remove a connection that is closed."""
        if one not in self._all:
            return
        self._all.discard(one)
        self._new.pop(one, None)
        self._unread_since.pop(one, None)
        self._from[one.address] -= 1
        if not self._from[one.address]:
            del self._from[one.address]

    def _replace(self, candidates: Iterable[OpenConnection]) -> bool:
        oldest = next(iter(candidates), None)
        if oldest is None:
            return False
        self._close(oldest, Closed.REPLACED)
        return True

    def _refuse(self) -> bool:
        self._count(Closed.REFUSED)
        return False

    def _close(self, one: OpenConnection, why: Closed) -> None:
        self._count(why)
        self.leave(one)
        one.close_now()

    def _count(self, why: Closed) -> None:
        self.closed[why] += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_EVERY_S:
            self._log(now)

    def _log(self, now: float) -> None:
        new = self.closed - self._logged
        if new:
            said = ", ".join(f"{number} that {why}" for why, number in sorted(new.items()))
            log.warning("connections closed: %s; %d are open", said, len(self._all))
            self._logged = self.closed.copy()
            self._logged_at = now

    def _look(self) -> None:
        now = time.monotonic()
        for one in list(self._all):
            why = self._overdue(one, now)
            if why is not None:
                self._close(one, why)
        if now - self._logged_at >= _LOG_EVERY_S:
            self._log(now)
        self._is_looking = False
        if self._all or self.closed != self._logged:
            self._look_later()

    def _overdue(self, one: OpenConnection, now: float) -> Closed | None:
        limits = self.limits
        if one.head_since is not None and now - one.head_since > limits.head_s:
            return Closed.SILENT if one in self._new else Closed.HEAD
        if one.body_since is not None:
            if not one.is_read:
                one.body_since = now  # the server is slow, not the client
            elif now - one.body_since > limits.body_s:
                return Closed.BODY
        if not one.unread_bytes:
            self._unread_since.pop(one, None)
        elif now - self._unread_since.setdefault(one, now) > limits.unread_s:
            return Closed.UNREAD
        return None

    def _look_later(self) -> None:
        self._is_looking = True
        asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)

    def _is_trusted(self, address: str) -> bool:
        if not address or "*" in self.limits.trusted:  # a client on a Unix socket has none
            return True
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return address in self.limits.trusted
        return any(parsed in network for network in self._networks)


def _networks(trusted: Iterable[str]) -> Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for one in trusted:
        try:
            yield ipaddress.ip_network(one, strict=False)
        except ValueError:
            continue  # the name of a socket, or `*`
