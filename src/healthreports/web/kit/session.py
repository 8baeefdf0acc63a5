"""The browser session: a signed cookie with the secret of a session and a CSRF token.

A browser can be signed in to several accounts, each with its own session, and shows one of them.

The cookie is http-only and same-site: no script can read it, and the browser does not send it with
a form of another site. Every form also carries the CSRF token of this session.
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
# A separate key: the user may have to prove who they are while a new passkey is being made.
_NEW_CHALLENGE: Final = "new_challenge"
_TOTP: Final = "totp"
# A cookie holds 4,096 bytes; a secret with its account name takes up to about 150.
_MOST_ACCOUNTS: Final = 8
# A path on this server. A path that begins with // or /\ leads to another host.
_OUR_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)


def with_session(app: ASGIApp, signing_key: str, days: int, *, secure: bool) -> ASGIApp:
    """Add `request.session` to `app`. The cookie lasts `days`; if `secure`, it needs https."""
    return SessionMiddleware(
        app,
        secret_key=signing_key,
        # The prefix binds the cookie to this host: another host of the domain cannot set it.
        session_cookie="__Host-healthreports" if secure else "healthreports",
        max_age=days * 24 * HOUR_S,
        same_site="lax",
        https_only=secure,
    )


def secret_of(request: Request) -> str:
    """The secret of the session that the browser shows. Raises Unauthenticated."""
    secret = request.session.get(_SECRET)
    if not isinstance(secret, str):
        raise Unauthenticated
    return secret


def keep(request: Request, opened: Opened) -> list[str]:
    """Store the session that was opened in the cookie, and show its account.

    Sessions in other accounts stay in the cookie. Returns the secrets that were removed from it:
    that of an earlier session in this account, and those of accounts over the limit.
    """
    secret, account = opened.secret, opened.account
    kept = _sessions_of(request)
    ended = [kept.pop(account)] if account in kept else []
    if not account_of(request) and isinstance(before := request.session.get(_SECRET), str):
        ended.append(before)  # the cookie of an older version, without the name of the account
    while len(kept) >= _MOST_ACCOUNTS:
        ended.append(kept.pop(next(iter(kept))))
    _show(request, secret, account, kept)
    return ended


async def enter(request: Request, opened: Opened, sign_in: SignIn, wanted: str) -> str:
    """Store the session that was opened in the cookie. Returns the address of the next page.

    A session that waits for a second factor is stored separately and does not replace a session.
    """
    if opened.waits:
        request.session[_HALF] = opened.secret
        return f"{SECOND_STEP}?next={quote(wanted, safe='')}"
    await sign_in.out(keep(request, opened), address_of(request.scope))
    return wanted


def half_of(request: Request) -> str:
    """The secret of the session that waits for a second factor. Raises Unauthenticated."""
    half = request.session.get(_HALF)
    if not isinstance(half, str):
        raise Unauthenticated
    return half


def ask_for_passkey(request: Request, now: Instant, *, new: bool = False) -> PasskeyChallenge:
    """Create a challenge and store it in the session: to use a passkey, or to make a `new` one."""
    challenge = new_challenge(now)
    request.session[_NEW_CHALLENGE if new else _CHALLENGE] = list(challenge)
    return challenge


def challenge_for_new(request: Request) -> PasskeyChallenge | None:
    """The last challenge for making a passkey. It is removed, since it is valid only once."""
    kept = request.session.pop(_NEW_CHALLENGE, None)
    return PasskeyChallenge(*kept) if kept else None


def answer_in(request: Request, code: str, passkey: str) -> SecondProof:
    """The proof that a user sent: a code, or a passkey answer with the last challenge."""
    kept = request.session.pop(_CHALLENGE, None) if passkey else None
    return SecondProof(code, passkey, PasskeyChallenge(*kept) if kept else None)


def totp_secret_of(request: Request, *, again: bool = False) -> str:
    """The secret of the authenticator application that is being set up in this browser.

    The secret is new each time the page is shown, except `again` after an error in its form. So
    somebody who saw an earlier secret cannot wait until it is set up.
    """
    secret = request.session.get(_TOTP) if again else None
    if not isinstance(secret, str):
        secret = request.session[_TOTP] = new_totp_secret()
    return secret


def drop_what_is_asked(request: Request) -> None:
    """Remove the TOTP secret and the passkey challenges from the session."""
    for name in (_TOTP, _CHALLENGE, _NEW_CHALLENGE):
        request.session.pop(name, None)


def switch(request: Request, account: str) -> bool:
    """Show another account. Returns False if the browser is not signed in to it."""
    if account not in others_of(request):
        return False
    kept = _sessions_of(request)
    _show(request, kept.pop(account), account, kept)
    return True


def _sessions_of(request: Request) -> dict[str, str]:
    """The secrets of the browser's sessions by account name. The shown account is the last."""
    kept = others_of(request)
    shown, secret = account_of(request), request.session.get(_SECRET)
    if shown and isinstance(secret, str):
        kept[shown] = secret
    return kept


def _show(request: Request, secret: str, account: str, others: dict[str, str]) -> None:
    # Everything else in the session is dropped: the CSRF token and any unfinished flow.
    request.session.clear()
    request.session.update({_SECRET: secret, _ACCOUNT: account, _OTHERS: others})


def sign_out(request: Request) -> list[str]:
    """Clear the session, except the account name. Returns the secrets of all sessions in it."""
    ended = list(others_of(request).values())
    if isinstance(secret := request.session.get(_SECRET), str):
        ended.append(secret)
    account = account_of(request)
    request.session.clear()
    if account:
        request.session[_ACCOUNT] = account
    return ended


def account_of(request: Request) -> str:
    """The name of the account that the browser shows, or showed last; "" if there is none."""
    account = request.session.get(_ACCOUNT)
    return account if isinstance(account, str) else ""


def others_of(request: Request) -> dict[str, str]:
    """The secrets of the browser's sessions in other accounts, by account name."""
    others = request.session.get(_OTHERS)
    return dict(others) if isinstance(others, dict) else {}


def form_proof(request: Request) -> str:
    """The CSRF token of this session. It is created on first use."""
    proof = request.session.get(_FORM_PROOF)
    if not isinstance(proof, str):
        proof = request.session[_FORM_PROOF] = secrets.token_urlsafe(32)
    return proof


async def read_stranger_form(request: Request) -> dict[str, str]:
    """`read_form` for an anonymous request, with a small body limit. Raises BodyTooLarge too."""
    return _fields(request, form_pairs(await stranger_body(request)))


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form from our pages. If a field is repeated, its last value counts.

    Raises StaleForm if the CSRF token is missing or wrong, MalformedBody.
    """
    body = await request.body()
    if len(body) <= STRANGER_BODY_LIMIT_BYTES:
        return _fields(request, form_pairs(body))
    # A long body is parsed in a thread, so that it does not block the event loop.
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
    """Return `text` if it is a path on this server, otherwise None."""
    return text if text and _OUR_PATH.fullmatch(text) else None
