"""Our own types for Authlib's server: requests, replies, clients, codes, tokens."""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from healthreports.core.model import Application, Grant, Instant, RefreshToken, Token
from healthreports.core.vocabulary import SECOND_US, Scope
from healthreports.service.auth.tokens import hash_of
from healthreports.store.auth.tokens import scopes_text

# The client authentication methods: of clients with a secret, and of all clients.
WITH_SECRET: Final = ("client_secret_basic", "client_secret_post")
EVERY_CLIENT: Final = (*WITH_SECRET, "none")
REVOCATION: Final = RevocationEndpoint.ENDPOINT_NAME
INTROSPECTION: Final = IntrospectionEndpoint.ENDPOINT_NAME


class OAuthCall(msgspec.Struct, frozen=True):
    """A request to an endpoint; `pairs` is its query string (authorize) or its form."""

    method: str
    path: str
    pairs: Sequence[tuple[str, str]]
    headers: Mapping[str, str] = {}


class Reply(msgspec.Struct):
    """A protocol response; `body` will be encoded as JSON, and is empty for a redirect."""

    status: int
    body: dict[str, Any] | str
    headers: dict[str, str]
    location: str | None = None


class Client(ClientMixin):
    """An application as Authlib sees it."""

    def __init__(self, application: Application, secret_hash: str | None) -> None:
        self.application = application
        self._secret_hash = secret_hash

    def get_client_id(self) -> str:
        """The client's own identifier."""
        return self.application.client_id

    def get_default_redirect_uri(self) -> str | None:
        """The redirect URI if the request names none."""
        # If several are registered, the request must name one (RFC 6749, 3.1.2.3).
        uris = self.application.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The requested scopes, or all that are allowed; None if it requests one not allowed."""
        asked = scopes_named(scope) if scope else self.application.scopes
        return None if asked is None or asked - self.application.scopes else scopes_text(asked)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether the redirect URI is registered: an exact match, with the port (RFC 9700, 2.1)."""
        return redirect_uri in self.application.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether that is the secret of the client."""
        return hmac.compare_digest(self._secret_hash or "", hash_of(client_secret))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Whether the client may authenticate so; a client that has a secret must use it."""
        if self.application.confidential:
            return method in WITH_SECRET
        return method == "none" and endpoint != INTROSPECTION

    def check_response_type(self, response_type: str) -> bool:
        """Whether users can authorize the client."""
        return response_type == "code" and bool(self.application.redirect_uris)

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client may get a token with this grant type."""
        one = self.application
        return {
            "authorization_code": bool(one.redirect_uris),
            "refresh_token": bool(one.redirect_uris) and one.token_lifetime_s is not None,
            "client_credentials": one.confidential and one.user_id is not None,
        }.get(grant_type, False)


class Code:
    """A grant as Authlib sees it before its code is exchanged."""

    code_challenge_method = "S256"

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.code_challenge = grant.code_challenge

    def get_redirect_uri(self) -> str | None:
        """The redirect URI that the request named, if any."""
        return self.grant.redirect_uri

    def get_scope(self) -> str:
        """The scopes, in the format of OAuth."""
        return scopes_text(self.grant.scopes)


class Refresh:
    """A refresh token as Authlib sees it."""

    def __init__(self, token: RefreshToken, grant: Grant, now: Instant) -> None:
        self.token = token
        self.grant = grant
        self._now = now

    def check_client(self, client: Client) -> bool:
        """Whether the token belongs to that client."""
        return self.grant.application_id == client.application.id

    def get_scope(self) -> str:
        """The scopes, in the format of OAuth."""
        return scopes_text(self.grant.scopes)

    def is_expired(self) -> bool:
        """Whether the token has expired."""
        return self.token.expires_at <= self._now

    def is_revoked(self) -> bool:
        """Whether the token was used, or its grant was revoked."""
        return self.token.used_at is not None or self.grant.revoked_at is not None

    def describe(self) -> dict[str, Any]:
        """What introspection returns for the token (RFC 7662, 2.2)."""
        return {
            "scope": self.get_scope(),
            "iat": self.token.created_at // SECOND_US,
            "exp": self.token.expires_at // SECOND_US,
        }


class Access:
    """An access token as Authlib sees it."""

    def __init__(self, token: Token, grant: Grant, now: Instant) -> None:
        self.token = token
        self.grant = grant
        self._now = now

    def check_client(self, client: Client) -> bool:
        """Whether the token belongs to that client."""
        return self.grant.application_id == client.application.id

    def is_expired(self) -> bool:
        """Whether the token has expired."""
        return self.token.expires_at is not None and self.token.expires_at <= self._now

    def is_revoked(self) -> bool:
        """Whether the token was revoked."""
        return self.token.revoked_at is not None

    def describe(self) -> dict[str, Any]:
        """What introspection returns for the token (RFC 7662, 2.2)."""
        described = {
            "scope": scopes_text(self.token.scopes),
            "token_type": "Bearer",
            "iat": self.token.created_at // SECOND_US,
        }
        if self.token.expires_at is not None:
            described["exp"] = self.token.expires_at // SECOND_US
        return described


class Request(OAuth2Request):
    """A request as Authlib sees it, with the parameters in `pairs` only."""

    def __init__(self, issuer: str, asked: OAuthCall) -> None:
        super().__init__(asked.method, issuer + asked.path, headers=dict(asked.headers))
        # A parameter without a value counts as not sent, and none may be repeated (RFC 6749, 3.1).
        pairs = [(name, value) for name, value in asked.pairs if value]
        self._values = dict(pairs)
        self.payload = BasicOAuth2Payload(self._values)
        if len(self._values) < len(pairs):
            raise InvalidRequestError("A parameter is repeated.")
        if "Authorization" in self.headers and "client_secret" in self._values:
            raise InvalidRequestError("A client must use one authentication method, not two.")

    @property
    def args(self) -> dict[str, str]:
        """The parameters."""
        return self._values

    @property
    def form(self) -> dict[str, str]:
        """The parameters."""
        return self._values


def scopes_named(text: str) -> frozenset[Scope] | None:
    """The scopes that `text` names, always including reading; None if a scope is unknown."""
    try:
        return frozenset(map(Scope, text.split(" "))) | {Scope.READ}
    except ValueError:
        return None
