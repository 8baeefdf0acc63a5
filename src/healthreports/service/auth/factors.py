"""Second factors: adding, removing and checking them, and recovery codes.

A user who has a second factor is asked for it after the password. An account may require one from
its administrators or from everybody; a user without one then sets it up at the next sign-in. A
user who has lost it uses a recovery code, or an invitation that two administrators make together.
"""

import base64
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import pyotp

from healthreports.core.access import demands_factor
from healthreports.core.errors import Fault, Invalid, NotFound, Problem
from healthreports.core.model import Actor, Factor, Instant, User
from healthreports.core.rules.people import check_names
from healthreports.core.vocabulary import (
    MAX_FACTORS,
    RECOVERY_CODES,
    SECOND_US,
    AuditAction,
    FactorDemand,
    FactorKind,
    Kind,
)
from healthreports.service.auditing import note
from healthreports.service.auth.passkeys import (
    MadePasskey,
    PasskeyChallenge,
    Passkeys,
)
from healthreports.service.auth.tokens import hash_of
from healthreports.service.lookup import demand_administrator, demand_recent_proof
from healthreports.store.auth import credentials, factors
from healthreports.store.auth.factors import Kept
from healthreports.store.engine.database import Transaction
from healthreports.store.people import accounts, members

_ISSUER: Final = "healthreports"
# 120 bits: a plain hash is enough, since the code cannot be guessed (OWASP ASVS 5.0, 6.5.2).
_CODE_BYTES: Final = 15
_CODE_PART: Final = 4
# Typing takes time, so a code of the previous time step is accepted too (RFC 6238, 5.2).
_STEPS_BEFORE: Final = 1


class SecondProof(NamedTuple):
    """The answer to a request for a second factor: a code of either kind, or a passkey."""

    code: str = ""
    passkey: str = ""
    challenge: PasskeyChallenge | None = None


class MadeFactor(NamedTuple):
    """A new second factor: a passkey, or the secret of an authenticator application."""

    name: str
    secret: str
    counter: int
    credential_id: str | None = None

    @property
    def kind(self) -> FactorKind:
        """Whether it is an authenticator application or a passkey."""
        return FactorKind.TOTP if self.credential_id is None else FactorKind.PASSKEY


def new_totp_secret() -> str:
    """A new secret for an authenticator application, in base32."""
    return pyotp.random_base32()


def totp_address(secret: str, user: User, account: str) -> str:
    """The URI that an authenticator application reads from a QR code (Key Uri Format)."""
    label = f"{account}: {user.email_address}"
    return pyotp.TOTP(secret).provisioning_uri(name=label, issuer_name=_ISSUER)


def made_totp(name: str, secret: str, code: str, now: Instant) -> MadeFactor:
    """An authenticator application that shows the right code for `secret`. Raises Invalid."""
    step = _step_of(secret, _plain(code), 0, now)
    if step is None:
        raise Invalid([Problem("code", Fault.WRONG)])
    return MadeFactor(name or "Authenticator application", secret, step)


def made_passkey(name: str, made: MadePasskey) -> MadeFactor:
    """A passkey that a browser has made."""
    return MadeFactor(name or "Passkey", made.public_key, made.counter, made.credential_id)


def of_user(tx: Transaction, user_id: int) -> list[Factor]:
    """The second factors of a user, without recovery codes."""
    return [one.factor for one in _without_codes(factors.of_user(tx, user_id))]


def codes_left(tx: Transaction, user_id: int) -> int:
    """How many recovery codes a user has not used."""
    kept = factors.of_user(tx, user_id)
    return sum(one.factor.kind is FactorKind.RECOVERY_CODE for one in kept)


def passkey_ids(tx: Transaction, user_id: int) -> list[str]:
    """The ids of a user's passkeys, in base64url."""
    kept = factors.of_user(tx, user_id)
    return [one.credential_id for one in kept if one.credential_id is not None]


def is_demanded(tx: Transaction, user: User) -> bool:
    """Whether the account requires a second factor from a user."""
    demand = accounts.second_factor(tx, user.account_id)
    return demands_factor(demand, members.membership(tx, user.id).permission)


def add(tx: Transaction, actor: Actor, made: MadeFactor, now: Instant) -> list[str]:
    """Store a second factor of the caller. Returns recovery codes to show if it is the first.

    Raises ProofNeeded, Invalid.
    """
    demand_recent_proof(actor, now)
    user = members.user(tx, actor.user_id)
    assert user is not None  # it is signed in
    codes = store(tx, user, made, now)
    if actor.session_id is not None:  # setting it up proved it
        credentials.note_factor(tx, actor.session_id, made.kind)
    return codes


def store(tx: Transaction, user: User, made: MadeFactor, now: Instant) -> list[str]:
    """Store a second factor of `user`. Returns as `add` does. Raises Invalid."""
    name = made.name.strip()
    if problems := check_names(name=name):
        raise Invalid(problems)
    kept = _without_codes(factors.of_user(tx, user.id))
    if len(kept) >= MAX_FACTORS:
        raise Invalid([Problem("factors", Fault.TOO_MANY, limit=MAX_FACTORS)])
    if made.credential_id is not None and factors.by_credential(tx, made.credential_id):
        raise Invalid([Problem("passkey", Fault.TAKEN)])
    if made.kind is FactorKind.TOTP and any(one.secret == made.secret for one in kept):
        raise Invalid([Problem("code", Fault.TAKEN)])  # else each code would work twice
    factor_id = factors.insert(
        tx,
        user.account_id,
        user.id,
        made.kind,
        name,
        made.secret,
        made.counter,
        now,
        made.credential_id,
    )
    after = {"kind": made.kind, "name": name, "user_id": user.id}
    note(tx, user.account_id, AuditAction.FACTOR_ADDED, factor_id, after=after)
    return [] if kept else _new_codes(tx, user, now)


def remove(tx: Transaction, actor: Actor, factor_id: int, now: Instant) -> None:
    """Delete a second factor of the caller; with the last one the recovery codes are deleted too.

    Raises ProofNeeded, NotFound, and Invalid for the last one if the account requires one.
    """
    demand_recent_proof(actor, now)
    kept = _without_codes(factors.of_user(tx, actor.user_id))
    found = next((one.factor for one in kept if one.factor.id == factor_id), None)
    if found is None:
        raise NotFound(Kind.USERS)
    is_last = len(kept) == 1
    if is_last and demands_factor(accounts.second_factor(tx, actor.account_id), actor.permission):
        raise Invalid([Problem("factor", Fault.DEMANDED)])
    factors.remove(tx, factor_id)
    before = {"kind": found.kind, "name": found.name, "user_id": found.user_id}
    note(tx, actor.account_id, AuditAction.FACTOR_REMOVED, factor_id, before)
    if is_last:
        _forget_codes(tx, actor.user_id)
        # The factor that sessions were opened with is deleted, so it cannot meet a later demand.
        credentials.forget_factor(tx, actor.user_id)


def reset(tx: Transaction, user: User) -> int:
    """Delete every second factor of `user`, as the command line does; the user's sessions end.

    Returns the number of deleted factors, without recovery codes.
    """
    kept = _without_codes(factors.of_user(tx, user.id))
    for one in kept:
        factors.remove(tx, one.factor.id)
        before = {"kind": one.factor.kind, "name": one.factor.name, "user_id": user.id}
        note(tx, user.account_id, AuditAction.FACTOR_REMOVED, one.factor.id, before)
    _forget_codes(tx, user.id)
    credentials.delete_sessions(tx, user.id)
    return len(kept)


def renew_codes(tx: Transaction, actor: Actor, now: Instant) -> list[str]:
    """Replace the recovery codes. Returns the new ones, to show once: only hashes are stored.

    Raises ProofNeeded, and Invalid if the caller has no second factor.
    """
    demand_recent_proof(actor, now)
    if not of_user(tx, actor.user_id):
        raise Invalid([Problem("factor", Fault.MISSING)])
    user = members.user(tx, actor.user_id)
    assert user is not None  # it is signed in
    return _new_codes(tx, user, now)


def demand(tx: Transaction, actor: Actor, of: FactorDemand, now: Instant) -> None:
    """Require a second factor from some users of the account. Sessions without one end at once.

    Raises Forbidden, ProofNeeded, and Invalid if the caller has none and would lose access.
    """
    demand_administrator(actor)
    demand_recent_proof(actor, now)
    if demands_factor(of, actor.permission) and not of_user(tx, actor.user_id):
        raise Invalid([Problem("second_factor", Fault.OWN_FIRST)])
    demand_of(tx, actor.account_id, of)


def demanded_of(tx: Transaction, account_id: int) -> FactorDemand:
    """From whom an account requires a second factor."""
    return accounts.second_factor(tx, account_id)


def demand_of(tx: Transaction, account_id: int, of: FactorDemand) -> None:
    """`demand`, as the command line does."""
    before = {"second_factor": accounts.second_factor(tx, account_id)}
    if before["second_factor"] is not of:
        accounts.demand_second_factor(tx, account_id, of)
        after = {"second_factor": of}
        note(tx, account_id, AuditAction.ACCOUNT_CHANGED, account_id, before, after)


class SeenPasskey(NamedTuple):
    """A passkey whose answer was verified: as it was stored then, and its new signature counter."""

    kept: Kept
    counter: int
    challenge: PasskeyChallenge


def passkey_named(tx: Transaction, credential_id: str) -> Kept | None:
    """The passkey with that id, of any user."""
    return factors.by_credential(tx, credential_id)


def seen(passkeys: Passkeys, kept: Kept, answer: SecondProof, now: Instant) -> SeenPasskey | None:
    """Verify the answer of a passkey, without a transaction. Returns None if it is wrong."""
    challenge = answer.challenge
    counter = passkeys.used(answer.passkey, challenge, kept.secret, kept.counter, now)
    if counter is None or challenge is None:
        return None
    return SeenPasskey(kept, counter, challenge)


def use(tx: Transaction, seen: SeenPasskey, now: Instant) -> bool:
    """Note that a passkey was used. Returns False if it was used or deleted in the meantime.

    A challenge that is not newer than the last use is refused: it may have been answered already.
    """
    assert seen.kept.credential_id is not None  # it is a passkey
    kept = factors.by_credential(tx, seen.kept.credential_id)
    if kept is None or kept.counter != seen.kept.counter:
        return False
    last = kept.factor.last_used_at
    if last is not None and seen.challenge.made_at <= last:
        return False
    factors.note_use(tx, kept.factor.id, seen.counter, now)
    return True


def prove(
    tx: Transaction, user_id: int, answer: SecondProof, passkey: SeenPasskey | None, now: Instant
) -> FactorKind | None:
    """Return which kind of a user's factors the answer fits, or None if it fits none.

    Each answer works once: its use is noted in the transaction, which must be committed. A
    `passkey` was verified before the transaction, so that other writers do not wait for that.
    """
    kept = factors.of_user(tx, user_id)
    if answer.passkey:
        is_own = passkey is not None and passkey.kept.factor.user_id == user_id
        used = is_own and passkey is not None and use(tx, passkey, now)
        return FactorKind.PASSKEY if used else None
    code = _plain(answer.code)
    for one in kept:
        if one.factor.kind is FactorKind.TOTP:
            step = _step_of(one.secret, code, one.counter, now)
            if step is not None:
                factors.note_use(tx, one.factor.id, step, now)
                return FactorKind.TOTP
        elif one.factor.kind is FactorKind.RECOVERY_CODE and secrets.compare_digest(
            one.secret, hash_of(code)
        ):
            factors.remove(tx, one.factor.id)
            return FactorKind.RECOVERY_CODE
    return None


def _step_of(secret: str, code: str, after: int, now: Instant) -> int | None:
    """The time step of `code`, if it is near `now` and later than `after`, the last one used."""
    totp = pyotp.TOTP(secret)
    here = now // SECOND_US // totp.interval
    for step in range(here - _STEPS_BEFORE, here + 1):
        if step > after and secrets.compare_digest(totp.generate_otp(step), code):
            return step
    return None


def _plain(code: str) -> str:
    """A code in upper case, without the spaces and hyphens that people type between its parts."""
    text = "".join(one for one in code if one not in " -\t").upper()
    return text if text.isascii() and text.isalnum() else ""


def _new_codes(tx: Transaction, user: User, now: Instant) -> list[str]:
    _forget_codes(tx, user.id)
    shown = []
    for _ in range(RECOVERY_CODES):
        code = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode()
        kind = FactorKind.RECOVERY_CODE
        factors.insert(tx, user.account_id, user.id, kind, "", hash_of(code), 0, now)
        parts = (code[at : at + _CODE_PART] for at in range(0, len(code), _CODE_PART))
        shown.append("-".join(parts))
    note(tx, user.account_id, AuditAction.CODES_CREATED, user.id)
    return shown


def _forget_codes(tx: Transaction, user_id: int) -> None:
    for one in factors.of_user(tx, user_id):
        if one.factor.kind is FactorKind.RECOVERY_CODE:
            factors.remove(tx, one.factor.id)


def _without_codes(kept: Sequence[Kept]) -> list[Kept]:
    return [one for one in kept if one.factor.kind is not FactorKind.RECOVERY_CODE]
