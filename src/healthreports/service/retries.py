"""Requests that may be sent again: the first answer is kept, and is given again. Contract: 8.2."""

from collections.abc import Sequence
from typing import Final

from healthreports.core.errors import KeyReused, NotFound
from healthreports.core.model import Actor, Instant
from healthreports.core.vocabulary import Kind
from healthreports.service.lookup import visible_of
from healthreports.store.auth import answers
from healthreports.store.auth.answers import Asked, KeptAnswer
from healthreports.store.engine.database import Transaction

# `Asked` and `KeptAnswer` are for the interfaces too, which may not import the store.
__all__ = ["KEPT_US", "MOST_KEPT", "Asked", "KeptAnswer", "first_answer", "keep"]

KEPT_US: Final = 24 * 3_600 * 1_000_000
MOST_KEPT: Final = 10_000


def first_answer(tx: Transaction, actor: Actor, asked: Asked, now: Instant) -> KeptAnswer | None:
    """What was answered when the same was asked before; None where it was not, or is forgotten.

    Raises KeyReused where something else was asked with the key, NotFound where `actor` may not
    see any more what the answer names.
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


def keep(  # noqa: PLR0917  who asked what, and what was answered
    tx: Transaction,
    actor: Actor,
    asked: Asked,
    now: Instant,
    status: int,
    body: bytes,
    kind: Kind | None = None,
    ids: Sequence[int] = (),
) -> None:
    """Keep the first answer to what was asked; `kind` and `ids` are the records it names."""
    answer = KeptAnswer(asked.fingerprint, status, body, kind or "", tuple(ids), now)
    answers.keep(tx, actor.account_id, actor.user_id, asked, answer, MOST_KEPT)
