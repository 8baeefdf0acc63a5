"""The session of a browser: a signed cookie with the secret of a session and of its forms.

A browser may be signed in to several accounts, each by its own session, and shows one of them.

The cookie is http-only and same-site: no script can read it, and no other site's form is sent with
it. Every form also carries the secret of this session's forms (a CSRF token).
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp

from healthreports.contract.bodies import form_pairs
from healthreports.core.errors import StaleForm, Unauthenticated
from healthreports.core.model import Instant
from healthreports.core.vocabulary import HOUR_S, STRANGER_BODY_LIMIT_BYTES
from healthreports.edge.bodies import stranger_body
from healthreports.edge.middleware import address_of
from healthreports.service.auth.factors import SecondProof, new_totp_secret
from healthreports.service.auth.passkeys import PasskeyChallenge, new_challenge
from healthreports.service.auth.sessions import Opened
from healthreports.service.auth.sign_in import SignIn
from healthreports.web.kit.addresses import SECOND_STEP

_SECRET: Final = "secret"  # noqa: S105  a key, not a secret
_ACCOUNT: Final = "account"
_OTHERS: Final = "others"
_FORM_PROOF: Final = "csrf"
_HALF: Final = "half"
_CHALLENGE: Final = "challenge"
# Apart, since a proof may be asked for between the two halves of making one.
_NEW_CHALLENGE: Final = "new_challenge"
_TOTP: Final = "totp"
# A cookie holds 4,096 bytes, and a secret with the name of its account up to some 150.
_MOST_ACCOUNTS: Final = 8
# A path of ours: one that begins with // or /\ leads to another host.
_OUR_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)


def with_session(app: ASGIApp, signing_key: str, days: int, *, secure: bool) -> ASGIApp:
    """`app` with `request.session`, kept for so many days; a `secure` one goes over https only."""
    return SessionMiddleware(
        app,
        secret_key=signing_key,
        # The prefix binds the cookie to this host: no neighbouring one can plant another.
        session_cookie="__Host-healthreports" if secure else "healthreports",
        max_age=days * 24 * HOUR_S,
        same_site="lax",
        https_only=secure,
    )


def secret_of(request: Request) -> str:
    """What the browser is signed in by. Raises Unauthenticated."""
    secret = request.session.get(_SECRET)
    if not isinstance(secret, str):
        raise Unauthenticated
    return secret


def keep(request: Request, opened: Opened) -> list[str]:
    """Keep what the browser is signed in by in the account of that name, and show that account.

    What it is signed in by in others is kept beside it. Returns the secrets that are not kept any
    more: that of another session in this account, and of the accounts that are too many.
    """
    secret, account = opened.secret, opened.account
    kept = _sessions_of(request)
    ended = [kept.pop(account)] if account in kept else []
    if not account_of(request) and isinstance(before := request.session.get(_SECRET), str):
        ended.append(before)  # a cookie of a version that did not name the account
    while len(kept) >= _MOST_ACCOUNTS:
        ended.append(kept.pop(next(iter(kept))))
    _show(request, secret, account, kept)
    return ended


async def enter(request: Request, opened: Opened, sign_in: SignIn, wanted: str) -> str:
    """Keep the session that was opened. Returns the address that comes next.

    One that waits for a second factor is kept beside those that somebody is signed in by.
    """
    if opened.waits:
        request.session[_HALF] = opened.secret
        return f"{SECOND_STEP}?next={quote(wanted, safe='')}"
    await sign_in.out(keep(request, opened), address_of(request.scope))
    return wanted


def half_of(request: Request) -> str:
    """What the browser is half signed in by. Raises Unauthenticated."""
    half = request.session.get(_HALF)
    if not isinstance(half, str):
        raise Unauthenticated
    return half


def ask_for_passkey(request: Request, now: Instant, *, new: bool = False) -> PasskeyChallenge:
    """A challenge for this browser, which keeps it: to use a passkey, or to make a new one."""
    challenge = new_challenge(now)
    request.session[_NEW_CHALLENGE if new else _CHALLENGE] = list(challenge)
    return challenge


def challenge_for_new(request: Request) -> PasskeyChallenge | None:
    """The challenge that the browser was given last to make a passkey. It is good once."""
    kept = request.session.pop(_NEW_CHALLENGE, None)
    return PasskeyChallenge(*kept) if kept else None


def answer_in(request: Request, code: str, passkey: str) -> SecondProof:
    """What somebody proves by who it is, with the challenge that the browser was given last."""
    kept = request.session.pop(_CHALLENGE, None) if passkey else None
    return SecondProof(code, passkey, PasskeyChallenge(*kept) if kept else None)


def totp_secret_of(request: Request, *, again: bool = False) -> str:
    """The secret of the authenticator application that is being set up in this browser.

    A new one each time that the page is shown, but `again` with what is wrong with its form: who
    saw one before cannot wait for it to be set up.
    """
    secret = request.session.get(_TOTP) if again else None
    if not isinstance(secret, str):
        secret = request.session[_TOTP] = new_totp_secret()
    return secret


def drop_what_is_asked(request: Request) -> None:
    """Forget the secret and the challenges of what was not finished."""
    for name in (_TOTP, _CHALLENGE, _NEW_CHALLENGE):
        request.session.pop(name, None)


def switch(request: Request, account: str) -> bool:
    """Show another account that the browser is signed in to. False where it is not."""
    if account not in others_of(request):
        return False
    kept = _sessions_of(request)
    _show(request, kept.pop(account), account, kept)
    return True


def _sessions_of(request: Request) -> dict[str, str]:
    """What the browser is signed in by in each account, by its name; the one shown is the last."""
    kept = others_of(request)
    shown, secret = account_of(request), request.session.get(_SECRET)
    if shown and isinstance(secret, str):
        kept[shown] = secret
    return kept


def _show(request: Request, secret: str, account: str, others: dict[str, str]) -> None:
    # Nothing else of before is kept: neither the proof of forms nor what was on its way.
    request.session.clear()
    request.session.update({_SECRET: secret, _ACCOUNT: account, _OTHERS: others})


def sign_out(request: Request) -> list[str]:
    """Keep nothing but the name of the account. Returns the secrets of all its sessions."""
    ended = list(others_of(request).values())
    if isinstance(secret := request.session.get(_SECRET), str):
        ended.append(secret)
    account = account_of(request)
    request.session.clear()
    if account:
        request.session[_ACCOUNT] = account
    return ended


def account_of(request: Request) -> str:
    """The name of the account that the browser is signed in to, or was; "" for none."""
    account = request.session.get(_ACCOUNT)
    return account if isinstance(account, str) else ""


def others_of(request: Request) -> dict[str, str]:
    """What the browser is signed in by in other accounts, by their names."""
    others = request.session.get(_OTHERS)
    return dict(others) if isinstance(others, dict) else {}


def form_proof(request: Request) -> str:
    """What a form on a page of this session has to send along."""
    proof = request.session.get(_FORM_PROOF)
    if not isinstance(proof, str):
        proof = request.session[_FORM_PROOF] = secrets.token_urlsafe(32)
    return proof


async def read_stranger_form(request: Request) -> dict[str, str]:
    """`read_form` of somebody who is not signed in: a short one. Raises BodyTooLarge too."""
    return _fields(request, form_pairs(await stranger_body(request)))


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form of ours. Raises StaleForm where it does not prove to be, MalformedBody.

    A field that stands more than once counts with its last value.
    """
    body = await request.body()
    if len(body) <= STRANGER_BODY_LIMIT_BYTES:
        return _fields(request, form_pairs(body))
    # A long one is parsed off the event loop: others wait there.
    return _fields(request, await asyncio.to_thread(form_pairs, body))


def _fields(request: Request, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    fields = dict(pairs)
    proof = request.session.get(_FORM_PROOF)
    if not isinstance(proof, str) or not secrets.compare_digest(
        proof.encode(), fields.pop(_FORM_PROOF, "").encode()
    ):
        raise StaleForm
    return fields


def our_path(text: str | None) -> str | None:
    """`text` if it leads to a page of ours and nowhere else."""
    return text if text and _OUR_PATH.fullmatch(text) else None
