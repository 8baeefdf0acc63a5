"""Rate limits, counted by the library `limits` in memory or in Valkey.

A token's requests are not counted in the store one by one: a process takes a share of the rest of
the token's limit from the store, and then counts it down by itself. An unused share expires with
the window, so several processes together never allow more requests than the limit.
"""

import asyncio
import hashlib
import ipaddress
import logging
import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from healthreports.core.errors import StorageUnavailable, TooManyRequests

log: Final = logging.getLogger("healthreports")

MEMORY: Final = "memory"
# A process takes this fraction of a limit at once: one in 50.
_SHARE: Final = 50
# Most shares in memory, a few hundred kB; then all are dropped.
_MOST_SHARES: Final = 4096
_MINUTE_S: Final = 60
_QUARTER_HOUR_S: Final = 15 * 60
# Sign-in attempts as one user, and from one address as any user.
_SIGN_INS_OF_USER: Final = 10
_SIGN_INS_FROM_ADDRESS: Final = 50
# A customer of a provider has at least all addresses of such a network (RFC 6177).
_IPV6_PREFIX: Final = 64
_VALKEY: Final = re.compile(r"(?:valkey|redis)(s?://.+)")
# A store that does not answer within this time, in seconds, is not asked again for a while.
_STORE_OPTIONS: Final[dict[str, Any]] = {
    "wrap_exceptions": True,
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
}
_ASK_AGAIN_S: Final = 2.0
# Most windows in memory, of a few hundred bytes each.
_MOST_WINDOWS: Final = 50_000
# The names of the policies that count by address, and of the one that counts by user.
_ADDRESS, _GUESSER, SIGN_IN = "address", "sign-in-address", "sign-in"
_OF_ADDRESSES: Final = (f"{_ADDRESS}/", f"{_GUESSER}/")


class MonotonicMemory(MemoryStorage):
    """The library's storage in memory, with a monotonic clock and a bounded size.

    If there are too many windows, those of addresses are evicted first: an attacker with a network
    of addresses can make any number of them. So the windows that count guesses at a user's password
    stay.
    """

    def __init__(self, monotonic: Callable[[], float], most_windows: int = _MOST_WINDOWS) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._most_windows = most_windows
        # The count and the end of each window, in the order in which the windows began.
        self._windows: dict[str, tuple[int, float]] = {}

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add `amount` to the window of `key`, which lasts `expiry` seconds if it is new."""
        count, ends = self._window(key)
        if not count:
            self._make_room()
            ends = self._monotonic() + expiry
        self._windows[key] = count + amount, ends
        return count + amount

    async def get(self, key: str) -> int:
        """The count in the window of `key`."""
        return self._window(key)[0]

    async def get_expiry(self, key: str) -> float:
        """When the window of `key` ends, as seconds of the wall clock."""
        return time.time() + max(self._window(key)[1] - self._monotonic(), 0)

    async def clear(self, key: str) -> None:
        """Delete the window of `key`."""
        self._windows.pop(key, None)

    def _window(self, key: str) -> tuple[int, float]:
        count, ends = self._windows.get(key, (0, 0.0))
        if count and ends <= self._monotonic():
            del self._windows[key]
            return 0, 0.0
        return count, ends

    def _make_room(self) -> None:
        if len(self._windows) < self._most_windows:
            return
        now = self._monotonic()
        self._windows = {key: one for key, one in self._windows.items() if one[1] > now}
        first = [key for key in self._windows if key.startswith(_OF_ADDRESSES)]
        for key in [*first, *self._windows]:
            if len(self._windows) < self._most_windows:
                return
            self._windows.pop(key, None)


class BadStore(Exception):
    """The configured limit store does not exist; the message is one line."""


class Policy(NamedTuple):
    """At most `amount` requests in `window_s` seconds; 0 is no limit.

    A `strict` policy refuses every request while the store does not answer.
    """

    name: str
    amount: int
    window_s: int
    strict: bool = False

    @property
    def item(self) -> RateLimitItemPerSecond:
        """The policy as an object of the library."""
        return RateLimitItemPerSecond(self.amount, self.window_s, namespace=self.name)


class _Share(msgspec.Struct):
    """How many requests of a token's limit this process may still allow, and until when."""

    left: int
    until: float  # of the monotonic clock, in seconds


class SpentShare(Exception):
    """The share of the limit of a token, or of a user in browsers, is used up: take another."""

    def __init__(self, of: int | str) -> None:
        super().__init__(of)
        self.of = of


class Limits:
    """Counts in `store`: `memory`, or the address of a Valkey or Redis server.

    The limits a minute are: `per_token` requests with one token, `per_address` requests from one
    address without a valid token, and `per_document` documents made for one session or address. 0
    is no limit. Raises BadStore.
    """

    def __init__(
        self,
        store: str,
        per_token: int,
        per_address: int,
        per_document: int = 0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        most_shares: int = _MOST_SHARES,
    ) -> None:
        try:
            self._limiter = FixedWindowRateLimiter(_storage_of(store, monotonic))
        except (ConfigurationError, ValueError) as error:
            # The store's address is not repeated: it may contain a password.
            raise BadStore("the limit store is neither memory nor valkey://host:port") from error
        self._token = Policy("token", per_token, _MINUTE_S)
        self._address = Policy(_ADDRESS, per_address, _MINUTE_S)
        self._user = Policy(SIGN_IN, _SIGN_INS_OF_USER, _QUARTER_HOUR_S, strict=True)
        self._guesser = Policy(_GUESSER, _SIGN_INS_FROM_ADDRESS, _QUARTER_HOUR_S, strict=True)
        self._document = Policy("document", per_document, _MINUTE_S)
        self._shares: dict[int | str, _Share] = {}
        self._most_shares = most_shares
        self._taking = asyncio.Lock()
        self._monotonic = monotonic
        self._down_until = 0.0

    def spend(self, of: int | str) -> None:
        """Count one request of a token, by its id, or of a user in browsers, without waiting.

        Raises SpentShare.
        """
        if not self._token.amount:
            return
        share = self._shares.get(of)
        if share is None or share.left <= 0 or share.until <= self._monotonic():
            raise SpentShare(of)
        share.left -= 1

    async def take_share(self, of: int | str) -> None:
        """Take a new share of the limit if the last one is used up. Raises TooManyRequests."""
        async with self._taking:  # callers that waited use the share that the first one took
            share = self._shares.get(of)
            if share is not None and share.left > 0 and share.until > self._monotonic():
                return
            if len(self._shares) >= self._most_shares:
                self._shares.clear()
            wanted = max(1, self._token.amount // _SHARE)
            self._shares[of] = await self._take(self._token, str(of), wanted)

    async def admit_stranger(self, address: str) -> None:
        """Count a request that could be a guess. Raises TooManyRequests."""
        if self._address.amount:
            await self._take(self._address, _network(address))

    async def admit_document(self, key: str) -> None:
        """Count a document that is slow to make, for a session or an address.

        Raises TooManyRequests.
        """
        if not self._document.amount:
            return
        # The key is hashed before it is stored: it may be a secret.
        await self._take(self._document, hashlib.sha256(key.encode()).hexdigest())

    async def admit_sign_in(self, address: str, user: str) -> None:
        """Count an attempt to sign in as `user`, whether such a user exists or not.

        Raises TooManyRequests, StorageUnavailable.
        """
        await self.admit_guesser(address)
        await self.admit_guess(user)

    async def admit_guesser(self, address: str) -> None:
        """Count an attempt to sign in from an address. Raises as `admit_sign_in`."""
        await self._take(self._guesser, _network(address))

    async def admit_guess(self, user: str) -> None:
        """Count an attempt to sign in as `user`. Raises as `admit_sign_in`."""
        await self._take(self._user, user)

    async def forget_sign_ins(self, user: str) -> None:
        """Reset the count of attempts to sign in as `user`, after a successful one."""
        with suppress(StorageError):  # else they expire with their window
            await self._limiter.clear(self._user.item, user)

    async def _take(self, policy: Policy, key: str, wanted: int = 1) -> _Share:
        if self._monotonic() < self._down_until:
            return self._without_store(policy, wanted)
        item = policy.item
        try:
            if wanted > 1 and not await self._limiter.test(item, key, cost=wanted):
                wanted = 1
            admitted = await self._limiter.hit(item, key, cost=wanted)
            stats = await self._limiter.get_window_stats(item, key)
        except StorageError as error:
            log.error("the limit store does not answer: %s", error.__cause__ or error)  # noqa: TRY400  one line is enough
            self._down_until = self._monotonic() + _ASK_AGAIN_S
            return self._without_store(policy, wanted)
        # The library uses the wall clock, which may be set: only the difference is used.
        left_s = min(stats.reset_time - time.time(), policy.window_s)
        if not admitted:
            retry_after_s = max(1, math.ceil(left_s))
            raise TooManyRequests(policy.name, policy.amount, policy.window_s, retry_after_s)
        return _Share(wanted, self._monotonic() + left_s)

    def _without_store(self, policy: Policy, wanted: int) -> _Share:
        """Allow the request while the store does not answer, except for strict policies.

        Those protect passwords from guessing. Raises StorageUnavailable.
        """
        if policy.strict:
            raise StorageUnavailable("the limit store does not answer")
        return _Share(wanted, self._down_until)


def _storage_of(store: str, monotonic: Callable[[], float]) -> Storage:
    """The store as an object of the library. Raises ValueError, ConfigurationError."""
    if store == MEMORY:
        return MonotonicMemory(monotonic)
    match = _VALKEY.fullmatch(store)
    if match is None:
        raise ValueError
    # The same client library works with both servers.
    storage = storage_from_string(f"async+valkey{match[1]}", **_STORE_OPTIONS)
    assert isinstance(storage, Storage)  # its name begins with async
    return storage


def _network(address: str) -> str:
    """The IPv4 address, or for IPv6 the network that one customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)
