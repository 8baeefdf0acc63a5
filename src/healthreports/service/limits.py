"""Rate limits, counted by the library `limits` in memory or in Valkey.

A token's requests are not counted in the store one by one: a process takes a share of what is left
of the token's limit and spends it by itself. What it does not spend expires with the window, so
several processes together never let through more than the limit.
"""

import asyncio
import ipaddress
import logging
import re
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
from limits import RateLimitItemPerSecond
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from healthreports.core.errors import StorageUnavailable, TooManyRequests
from healthreports.core.model import Clock, Instant
from healthreports.core.vocabulary import SECOND_US

log: Final = logging.getLogger("healthreports")

MEMORY: Final = "memory"
# Which part of a limit a process takes at once.
_SHARE: Final = 50
# Shares that are kept before all are given up: a few hundred kB.
_MOST_SHARES: Final = 4096
_MINUTE_S: Final = 60
_QUARTER_HOUR_S: Final = 15 * 60
# Guesses at the password of one user, and by one address at anybody's.
_SIGN_INS_OF_USER: Final = 10
_SIGN_INS_FROM_ADDRESS: Final = 50
# A customer of a provider has all addresses of at least such a network (RFC 6177).
_IPV6_PREFIX: Final = 64
_VALKEY: Final = re.compile(r"(?:valkey|redis)(s?://.+)")
# A store that does not answer at once does not answer; then it is left alone for a while.
_STORE_OPTIONS: Final[dict[str, Any]] = {
    "wrap_exceptions": True,
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
}
_ASK_AGAIN_US: Final = 2 * SECOND_US


class BadStore(Exception):
    """The name of a store that there is not, in one line."""


class Policy(NamedTuple):
    """At most `amount` in `window_s` seconds; 0 is no limit.

    Where the store does not answer, a policy that is `strict` lets nothing through.
    """

    name: str
    amount: int
    window_s: int
    strict: bool = False

    @property
    def item(self) -> RateLimitItemPerSecond:
        """The policy as the library takes it."""
        return RateLimitItemPerSecond(self.amount, self.window_s, namespace=self.name)


class _Share(msgspec.Struct):
    """What a process may still let through of a token's limit, and until when."""

    left: int
    until: Instant


class SpentShare(Exception):
    """The share of the token's limit is spent: take another and come again."""

    def __init__(self, token_id: int) -> None:
        super().__init__(token_id)
        self.token_id = token_id


class Limits:
    """Counts in `store`: `memory`, or the address of a Valkey or Redis server.

    A token may ask `per_token` times a minute, an address `per_address` times a minute without a
    token that is valid; 0 is no limit. Raises BadStore.
    """

    def __init__(
        self,
        store: str,
        per_token: int,
        per_address: int,
        clock: Clock,
        *,
        most_shares: int = _MOST_SHARES,
    ) -> None:
        try:
            address = _address_of(store)
            storage = storage_from_string(f"async+{address}", **_STORE_OPTIONS)
            self._limiter = FixedWindowRateLimiter(storage)
        except (ConfigurationError, ValueError) as error:
            # The address may hold a password.
            raise BadStore("the limit store is neither memory nor valkey://host:port") from error
        self._token = Policy("token", per_token, _MINUTE_S)
        self._address = Policy("address", per_address, _MINUTE_S)
        self._user = Policy("sign-in", _SIGN_INS_OF_USER, _QUARTER_HOUR_S, strict=True)
        self._guesser = Policy(
            "sign-in-address", _SIGN_INS_FROM_ADDRESS, _QUARTER_HOUR_S, strict=True
        )
        self._shares: dict[int, _Share] = {}
        self._most_shares = most_shares
        self._taking = asyncio.Lock()
        self._clock = clock
        self._down_until = Instant(0)

    def spend(self, token_id: int | None, now: Instant) -> None:
        """Count one request of a token, on the event loop. Raises SpentShare.

        What comes without a token is somebody signed in at a browser, and is not counted.
        """
        if token_id is None or not self._token.amount:
            return
        share = self._shares.get(token_id)
        if share is None or share.left <= 0 or share.until <= now:
            raise SpentShare(token_id)
        share.left -= 1

    async def take_share(self, token_id: int) -> None:
        """Take another share of a token's limit, if it has none. Raises TooManyRequests."""
        async with self._taking:  # who waited finds what the first one took
            share = self._shares.get(token_id)
            if share is not None and share.left > 0 and share.until > self._clock():
                return
            if len(self._shares) >= self._most_shares:
                self._shares.clear()
            wanted = max(1, self._token.amount // _SHARE)
            self._shares[token_id] = await self._take(self._token, str(token_id), wanted)

    async def admit_stranger(self, address: str) -> None:
        """Count a request that could be a guess. Raises TooManyRequests."""
        if self._address.amount:
            await self._take(self._address, _network(address))

    async def admit_sign_in(self, address: str, user: str) -> None:
        """Count an attempt to sign in as `user`, whether there is one or not.

        Raises TooManyRequests, StorageUnavailable.
        """
        await self._take(self._guesser, _network(address))
        await self._take(self._user, user)

    async def forget_sign_ins(self, user: str) -> None:
        """Begin to count the attempts to sign in as `user` anew: it was the user."""
        with suppress(StorageError):  # then they are forgotten when their time is over
            await self._limiter.clear(self._user.item, user)

    async def _take(self, policy: Policy, key: str, wanted: int = 1) -> _Share:
        if self._clock() < self._down_until:
            return self._without_store(policy, wanted)
        item = policy.item
        try:
            if wanted > 1 and not await self._limiter.test(item, key, cost=wanted):
                wanted = 1
            admitted = await self._limiter.hit(item, key, cost=wanted)
            stats = await self._limiter.get_window_stats(item, key)
        except StorageError as error:
            log.error("the limit store does not answer: %s", error.__cause__ or error)  # noqa: TRY400  one line says all
            self._down_until = Instant(self._clock() + _ASK_AGAIN_US)
            return self._without_store(policy, wanted)
        until = Instant(int(stats.reset_time * SECOND_US))
        if not admitted:
            seconds_left = max(1, -(-(until - self._clock()) // SECOND_US))
            raise TooManyRequests(policy.name, policy.amount, policy.window_s, seconds_left)
        return _Share(wanted, until)

    def _without_store(self, policy: Policy, wanted: int) -> _Share:
        """Go on while the store does not answer, but where somebody could guess passwords."""
        if policy.strict:
            raise StorageUnavailable("the limit store does not answer")
        return _Share(wanted, self._down_until)


def _address_of(store: str) -> str:
    """The store as the library names it. Raises ValueError."""
    if store == MEMORY:
        return "memory://"
    match = _VALKEY.fullmatch(store)
    if match is None:
        raise ValueError
    return f"valkey{match[1]}"  # one library speaks to both


def _network(address: str) -> str:
    """The address, or of IPv6 the network that one customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)
