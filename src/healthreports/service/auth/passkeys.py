"""Passkeys (Web Authentication, level 2): what a browser is asked, and whether its answer is right.

The library `webauthn` does the verifying; it is read when a passkey is first used. Nothing is
stored here. A challenge is kept by the browser in its signed cookie, so that strangers fill
nothing; an answer is good once, since a challenge must be newer than the passkey's last use.
"""

import ipaddress
import secrets
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from healthreports.core.errors import Fault, Invalid, Problem
from healthreports.core.model import Instant, User
from healthreports.core.vocabulary import CHALLENGE_LASTS_S, SECOND_US

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

T = TypeVar("T")

_NAME: Final = "healthreports"
_CHALLENGE_BYTES: Final = 32
_LASTS_US: Final = CHALLENGE_LASTS_S * SECOND_US
# An answer is some hundred bytes, with an attestation some thousand.
_MOST_ANSWER: Final = 20_000


class PasskeyChallenge(NamedTuple):
    """What a browser has to sign, in base64url, and since when."""

    text: str
    made_at: Instant


class MadePasskey(NamedTuple):
    """A new passkey: its id and its public key in base64url, and how often it has signed."""

    credential_id: str
    public_key: str
    counter: int


def new_challenge(now: Instant) -> PasskeyChallenge:
    """A challenge that nobody was given before."""
    return PasskeyChallenge(secrets.token_urlsafe(_CHALLENGE_BYTES), now)


class Passkeys:
    """Passkeys of the server whose address, as browsers see it, is `origin`.

    Browsers have them for a name under https, and for localhost (Web Authentication, 5.1.3);
    elsewhere there are none, and `here` is None.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.here = _relying_party(origin)

    def to_make(self, user: User, known: Sequence[str], challenge: PasskeyChallenge) -> str:
        """What a browser needs to make a passkey for `user`, who has those `known`. JSON."""
        import webauthn  # noqa: PLC0415  takes a sixth of a second, which most starts do not need
        from webauthn.helpers import base64url_to_bytes, structs  # noqa: PLC0415  as above

        assert self.here is not None  # the page asks
        options = webauthn.generate_registration_options(
            rp_id=self.here,
            rp_name=_NAME,
            user_id=str(user.id).encode(),
            user_name=user.email_address,
            user_display_name=user.full_name,
            challenge=base64url_to_bytes(challenge.text),
            timeout=CHALLENGE_LASTS_S * 1000,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.PREFERRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_described(known),
        )
        return webauthn.options_to_json(options)

    def to_use(self, known: Sequence[str], challenge: PasskeyChallenge) -> str:
        """What a browser needs to use one of the passkeys `known`, or any if there is none. JSON.

        The authenticator has to verify its user, by a PIN or a fingerprint.
        """
        # Five fields, on a page that every stranger sees: the library is not read for them.
        options = {
            "challenge": challenge.text,
            "rpId": self.here,
            "timeout": CHALLENGE_LASTS_S * 1000,
            "userVerification": "required",
            "allowCredentials": [{"type": "public-key", "id": one} for one in known],
        }
        return msgspec.json.encode(options).decode()

    def made(self, answer: str, challenge: PasskeyChallenge | None, now: Instant) -> MadePasskey:
        """The passkey that a browser has made. Raises Invalid."""
        import webauthn  # noqa: PLC0415  as above
        from webauthn.helpers import base64url_to_bytes, bytes_to_base64url  # noqa: PLC0415

        made = None
        if challenge is not None and self.here is not None and _is_fresh(answer, challenge, now):
            expected = base64url_to_bytes(challenge.text)
            made = _tried(
                webauthn.verify_registration_response,
                credential=answer,
                expected_challenge=expected,
                expected_rp_id=self.here,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        if made is None:
            raise Invalid([Problem("passkey", Fault.WRONG)])
        return MadePasskey(
            bytes_to_base64url(made.credential_id),
            bytes_to_base64url(made.credential_public_key),
            made.sign_count,
        )

    def used(
        self,
        answer: str,
        challenge: PasskeyChallenge | None,
        public_key: str,
        counter: int,
        now: Instant,
    ) -> int | None:
        """How often the passkey with that key has signed by now; None where the answer is wrong."""
        import webauthn  # noqa: PLC0415  as above
        from webauthn.helpers import base64url_to_bytes  # noqa: PLC0415

        if challenge is None or self.here is None or not _is_fresh(answer, challenge, now):
            return None
        used = _tried(
            webauthn.verify_authentication_response,
            credential=answer,
            expected_challenge=base64url_to_bytes(challenge.text),
            expected_rp_id=self.here,
            expected_origin=self._origin,
            credential_public_key=base64url_to_bytes(public_key),
            credential_current_sign_count=counter,
            require_user_verification=True,
        )
        return None if used is None else used.new_sign_count


def credential_in(answer: str) -> str | None:
    """The id of the passkey that a browser's answer names."""
    from webauthn.helpers import (  # noqa: PLC0415  as above
        bytes_to_base64url,
        parse_authentication_credential_json,
    )

    if len(answer) > _MOST_ANSWER:
        return None
    read = _tried(parse_authentication_credential_json, answer)
    return None if read is None else bytes_to_base64url(read.raw_id)


def _tried(verify: Callable[..., T], *arguments: object, **named: object) -> T | None:
    """What the library makes of an answer; None where it cannot read it, or finds it wrong.

    Its parsers get what a stranger sends as it is, and raise more than the library's own errors.
    """
    from cbor2 import CBORError  # noqa: PLC0415  as above
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415

    try:
        return verify(*arguments, **named)
    except (
        WebAuthnException,
        CBORError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        struct.error,
    ):
        return None


def _is_fresh(answer: str, challenge: PasskeyChallenge, now: Instant) -> bool:
    is_new = challenge.made_at <= now < challenge.made_at + _LASTS_US
    return is_new and len(answer) <= _MOST_ANSWER


def _described(known: Sequence[str]) -> list["PublicKeyCredentialDescriptor"]:
    from webauthn.helpers import base64url_to_bytes  # noqa: PLC0415
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor  # noqa: PLC0415

    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in known]


def _relying_party(origin: str) -> str | None:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme != "https" and host != "localhost":
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host or None
    return None
