"""The audit log: who did what, in a hash chain that shows later changes.

The entries of an account form a chain. The hash of an entry covers the hash of the entry before it
and three hashes of its own contents: what was done, who did it, what was changed. Those three are
salted. So contents can be removed (because a person is purged, or because they expired): the hashes
then reveal nothing of them, and the chain still verifies. Entries that were cut off at the end can
be detected with a `Head` that was stored elsewhere.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from healthreports.core.model import Actor, AuditEvent, Instant
from healthreports.core.vocabulary import Through

SALT_BYTES: Final = 16
# The hash that the first entry of an account follows.
BEGINNING: Final = bytes(32)
_encode: Final = msgspec.json.Encoder().encode


class By(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts in a transaction, by which credential, from which address, and when.

    `user_id` is None for a reader of a share link, the command line, and the server itself.
    """

    user_id: int | None
    through: Through
    through_id: int | None = None
    address: str | None = None
    now: Instant

    @classmethod
    def of(cls, actor: Actor, now: Instant, address: str) -> "By":
        """The user that a token or a session authenticates."""
        through_id: int | None
        if actor.grant_id is not None:
            through, through_id = Through.GRANT, actor.grant_id
        elif actor.token_id is not None:
            through, through_id = Through.TOKEN, actor.token_id
        else:
            through, through_id = Through.SESSION, actor.session_id
        return cls(
            user_id=actor.user_id,
            through=through,
            through_id=through_id,
            address=address or None,
            now=now,
        )

    @classmethod
    def command_line(cls, now: Instant) -> "By":
        """The person who runs commands on the server."""
        return cls(user_id=None, through=Through.COMMAND_LINE, now=now)

    @classmethod
    def server(cls, now: Instant) -> "By":
        """The server itself, for example when it deletes expired data."""
        return cls(user_id=None, through=Through.SERVER, now=now)


class Seal(msgspec.Struct, frozen=True):
    """A salt and the hash of salt and contents. The salt is None if the contents were removed."""

    salt: bytes | None
    hash: bytes

    @classmethod
    def over(cls, contents: Sequence[object], salt: bytes) -> "Seal":
        """The seal of `contents` with a new `salt`."""
        return cls(salt, _hash_of(contents, salt))

    def fits(self, contents: Sequence[object]) -> bool:
        """Whether these are the sealed contents. Removed contents must be None in every part."""
        if self.salt is None:
            return all(one is None for one in contents)
        return self.hash == _hash_of(contents, self.salt)


def _hash_of(contents: Sequence[object], salt: bytes) -> bytes:
    return sha256(salt + _encode(contents)).digest()


class Sealed(msgspec.Struct, frozen=True):
    """An entry as it is stored: with the seals of its three parts and its hash in the chain."""

    event: AuditEvent
    what: Seal
    who: Seal
    changes: Seal
    hash: bytes


class Head(msgspec.Struct, frozen=True):
    """The last entry of an account: its number, and its hash."""

    number: int = 0
    hash: bytes = BEGINNING

    def __str__(self) -> str:
        """The form that is printed, to be stored elsewhere."""
        return f"{self.number}:{self.hash.hex()}"


def sealed(event: AuditEvent, previous: bytes, salts: Sequence[bytes]) -> Sealed:
    """A new entry that follows the one with the hash `previous`."""
    parts = (event.what, event.who, event.changes)
    what, who, changes = (Seal.over(part, salt) for part, salt in zip(parts, salts, strict=True))
    return Sealed(event, what, who, changes, _link(event, previous, what, who, changes))


def _link(event: AuditEvent, previous: bytes, *seals: Seal) -> bytes:
    numbers = (event.account_id, event.id, event.created_at)
    place = b"".join(one.to_bytes(8, "big", signed=True) for one in numbers)
    return sha256(previous + place + b"".join(one.hash for one in seals)).digest()


def faults(entry: Sealed, previous: Head) -> list[str]:
    """What was changed in `entry` after it was written. `previous` is the entry before it."""
    event = entry.event
    if event.id != previous.number + 1:
        return [f"entries {previous.number + 1} to {event.id - 1} are missing"]
    found = [
        f"entry {event.id}: {name} was changed"
        for name, seal, contents in (
            ("what was done", entry.what, event.what),
            ("who did it", entry.who, event.who),
            ("what was changed", entry.changes, event.changes),
        )
        if not seal.fits(contents)
    ]
    if entry.hash != _link(event, previous.hash, entry.what, entry.who, entry.changes):
        found.append(f"entry {event.id} does not follow the one before it")
    return found
