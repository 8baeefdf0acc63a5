"""Idempotent retries: the first answer to a request is stored and sent again. Contract: 8.2."""

from collections.abc import Sequence
from typing import Final

from healthreports.core.errors import KeyReused, NotFound
from healthreports.core.model import Actor, Instant
from healthreports.core.vocabulary import Kind
from healthreports.service.lookup import visible_of
from healthreports.store.auth import answers
from healthreports.store.auth.answers import Asked, KeptAnswer
from healthreports.store.engine.database import Transaction

# The interfaces also need `Asked` and `KeptAnswer`, and may not import the store.
__all__ = ["KEPT_US", "MOST_KEPT", "Asked", "KeptAnswer", "first_answer", "keep"]

KEPT_US: Final = 24 * 3_600 * 1_000_000
MOST_KEPT: Final = 10_000


def first_answer(tx: Transaction, actor: Actor, asked: Asked, now: Instant) -> KeptAnswer | None:
    """The stored answer to the same request; None if there is none, or if it has expired.

    Raises KeyReused if the key was used for another request. Raises NotFound if `actor` may no
    longer see a record in the answer, or if the answer was purged.
    """
    kept = answers.find(tx, actor.account_id, actor.user_id, asked)
    if kept is None:
        return None
    if kept.created_at <= now - KEPT_US:
        answers.forget(tx, actor.account_id, actor.user_id, asked)
        return None
    if kept.fingerprint != asked.fingerprint:
        raise KeyReused
    for record_id in kept.ids:
        visible_of(tx, actor, Kind(kept.kind), record_id)
    if kept.body is None:
        raise NotFound(Kind(kept.kind))
    return kept


def keep(  # noqa: PLR0917  the caller, the request, and the answer
    tx: Transaction,
    actor: Actor,
    asked: Asked,
    now: Instant,
    status: int,
    body: bytes,
    kind: Kind | None = None,
    ids: Sequence[int] = (),
) -> None:
    """Store the first answer to a request. `kind` and `ids` are the records in the answer."""
    answer = KeptAnswer(asked.fingerprint, status, body, kind or "", tuple(ids), now)
    answers.keep(tx, actor.account_id, actor.user_id, asked, answer, MOST_KEPT)
