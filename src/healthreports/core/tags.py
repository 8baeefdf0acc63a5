"""Entity tags, which identify one state of a record, or one answer. Contract: 8.1."""

from hashlib import blake2b
from typing import Final

import msgspec

from healthreports.core.model import Actor, Record

_encode: Final = msgspec.msgpack.Encoder().encode
# 96 bits: two states with the same digest do not occur by chance, and a user who constructs such
# states can only mislead themselves.
_DIGEST_BYTES: Final = 12
_EPOCH_BYTES: Final = 4


def digest_of(record: Record) -> str:
    """A digest of all attributes of a record, including the time of its last change."""
    return _digest(type(record).__name__.encode() + _encode(record))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


class Tags:
    """Makes the entity tags of one database.

    `epoch` is different for each database and each answer format. So a tag that was sent before a
    restore, or by another version of the program, never matches again.
    """

    def __init__(self, epoch: str) -> None:
        self._epoch = blake2b(epoch.encode(), digest_size=_EPOCH_BYTES).hexdigest()

    def of_record(self, digest: str) -> str:
        """The tag of a record with this `digest_of`, as the answer to a show request has it."""
        return f'"{self._epoch}-{digest}"'

    def of_state(self, record: Record) -> str:
        """The tag of a record."""
        return self.of_record(digest_of(record))

    def of_answer(self, digest: str, body: bytes) -> str:
        """The tag of an answer that depends on more than its record: on includes or the caller."""
        return f'"{self._epoch}-{digest}-{_digest(body)}"'

    def of_list(self, actor: Actor, version: object, address: str) -> str:
        """The tag of the list at `address`, as `actor` sees it at a `version` of the account."""
        asked = f"{actor.user_id} {actor.permission} {version} {address}"
        return f'"{self._epoch}-{_digest(asked.encode())}"'


def fits(sent: str, tag: str) -> bool:
    """Whether `If-None-Match: sent` matches the answer with `tag` (RFC 9110, 13.1.2)."""
    return any(one in ("*", tag) for one in _each(sent.replace("W/", "")))


def is_still(sent: str, tag: str) -> bool:
    """Whether `If-Match: sent` matches the state of a record with `tag` (RFC 9110, 13.1.1).

    `sent` may also be the tag of an answer that contained more than the record.
    """
    state = tag.removesuffix('"')
    return any(one in ("*", tag) or one.startswith(f"{state}-") for one in _each(sent))


def _each(sent: str) -> list[str]:
    return [one.strip() for one in sent.split(",")]
