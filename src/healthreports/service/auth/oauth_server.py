"""Authlib's OAuth 2 server within one transaction, with our own look-ups and writes.

Authlib implements the protocol: RFC 6749 with PKCE (RFC 7636, S256 only), revocation (RFC 7009),
introspection (RFC 7662), the issuer in the answer (RFC 9207). Where it leaves a choice, we follow
RFC 9700.
"""

import hmac
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final

import msgspec
from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidRequestError,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge, create_s256_code_challenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9207 import IssuerParameter

from healthreports.core.model import Actor, Grant, Instant, RefreshToken, Token
from healthreports.core.vocabulary import (
    ACCESS_TOKEN_LIFETIME_S,
    CODE_LIFETIME_S,
    REFRESH_TOKEN_LIFETIME_S,
    SECOND_US,
    AuditAction,
    Scope,
)
from healthreports.service.auditing import note
from healthreports.service.auth.oauth_objects import (
    EVERY_CLIENT,
    WITH_SECRET,
    Access,
    Client,
    Code,
    OAuthCall,
    Refresh,
    Reply,
    Request,
    scopes_named,
)
from healthreports.service.auth.tokens import PREFIX, hash_of, new_secret
from healthreports.service.people.members import is_let_in
from healthreports.store.auth import oauth, tokens
from healthreports.store.engine.database import Transaction

CODE_PREFIX: Final = "hrc_"
REFRESH_PREFIX: Final = "hrr_"


class _Issuer(IssuerParameter):
    """Adds the issuer to every answer to the browser, so that a client cannot mix up servers."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        return self._issuer


class OAuthServer(AuthorizationServer):
    """Authlib's server within one transaction; `actor` is the user at the browser, if any."""

    def __init__(
        self, tx: Transaction, issuer: str, now: Instant, actor: Actor | None = None
    ) -> None:
        super().__init__(scopes_supported=list(Scope))
        self.tx = tx
        self.issuer = issuer
        self.now = now
        self.actor = actor
        self.issuer_parameter = _Issuer(issuer)
        self.register_extension(self.issuer_parameter)
        self.register_token_generator(
            "default",
            BearerTokenGenerator(
                lambda **_: new_secret(PREFIX),
                lambda **_: new_secret(REFRESH_PREFIX),
                _lifetime_s,
            ),
        )
        self.register_grant(_CodeGrant, [_Challenge(required=True)])
        self.register_grant(_RefreshGrant)
        self.register_grant(_CredentialsGrant)
        self.register_endpoint(_Revocation)
        self.register_endpoint(_Introspection)

    def reply_of(self, create: Callable[..., Reply], *arguments: object) -> Reply:
        """The reply that `create` returns, or an error reply if the request cannot be read."""
        try:
            return create(*arguments)
        except OAuth2Error as error:
            reply: Reply = self.handle_error_response(None, error)
            return reply

    def query_client(self, client_id: str) -> Client | None:
        """The client with that id, if the account of the user at the browser has it."""
        found = oauth.application_by_client_id(self.tx, client_id)
        if found is None:
            return None
        application, secret_hash = found
        # An application of another account counts as not found.
        if self.actor is not None and self.actor.account_id != application.account_id:
            return None
        return Client(application, secret_hash)

    def get_authorization_grant(self, request: OAuth2Request) -> Any:  # noqa: ANN401  Authlib's
        """The requested grant. Raises OAuth2Error.

        The errors are raised here because Authlib's repeat what was sent, even characters that an
        error must not contain.
        """
        if request.payload.response_type == "code":
            return super().get_authorization_grant(request)
        client = self.query_client(request.payload.client_id or "")
        if client is None:
            raise InvalidClientError("The client does not exist on this server.")
        raise OAuth2Error(
            "The 'response_type' must be code.",
            error="unsupported_response_type",
            redirect_uri=_CodeGrant.validate_authorization_redirect_uri(request, client),
        )

    def get_token_grant(self, request: OAuth2Request) -> Any:  # noqa: ANN401  Authlib's
        """The requested grant. Raises OAuth2Error."""
        if not request.payload.grant_type:
            raise InvalidRequestError("Missing 'grant_type' in request.")
        return super().get_token_grant(request)

    def create_oauth2_request(self, request: OAuthCall | OAuth2Request) -> OAuth2Request:
        """The request in Authlib's form. Raises InvalidRequestError."""
        return Request(self.issuer, request) if isinstance(request, OAuthCall) else request

    def handle_response(
        self, status: int, body: dict[str, Any] | str, headers: Sequence[tuple[str, str]]
    ) -> Reply:
        """Authlib's answer as a `Reply`."""
        named = dict(headers)
        location = named.pop("Location", None)
        if location is not None:
            # After a 302 a browser may send the form's fields on, after a 303 not (RFC 9700, 4.12).
            status = HTTPStatus.SEE_OTHER.value
        return Reply(status, body, named, location)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Do nothing: no signal has a receiver."""

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Store the hashes of the issued tokens, with the grant that they come from."""
        client: Client = request.client
        grant: Grant = request.credential
        lifetime_s = token.get("expires_in")
        expires_at = None if lifetime_s is None else Instant(self.now + lifetime_s * SECOND_US)
        scopes = scopes_named(token["scope"])
        assert scopes is not None  # Authlib has validated them
        oauth.forget_expired(self.tx, grant.id, self.now)
        tokens.insert(
            self.tx,
            Token(
                id=0,
                user_id=grant.user_id,
                grant_id=grant.id,
                name=client.application.name,
                scopes=scopes,
                created_at=self.now,
                expires_at=expires_at,
                revoked_at=None,
                last_used_at=None,
            ),
            hash_of(token["access_token"]),
        )
        if "refresh_token" in token:
            new = RefreshToken(
                id=0,
                account_id=grant.account_id,
                grant_id=grant.id,
                created_at=self.now,
                expires_at=Instant(self.now + REFRESH_TOKEN_LIFETIME_S * SECOND_US),
                used_at=None,
            )
            oauth.insert_refresh_token(self.tx, new, hash_of(token["refresh_token"]))

    def grant_for(self, client: Client, user_id: int, scopes: frozenset[Scope]) -> Grant:
        """A new grant by that user to `client`, without a code and not stored yet."""
        return Grant(
            id=0,
            account_id=client.application.account_id,
            application_id=client.application.id,
            user_id=user_id,
            scopes=scopes,
            redirect_uri=None,
            code_challenge=None,
            code_expires_at=None,
            exchanged_at=None,
            created_at=self.now,
            revoked_at=None,
        )

    def revoke(self, grant: Grant) -> None:
        """Revoke a grant and all tokens that came from it."""
        oauth.revoke_grant(self.tx, grant.id, self.now)
        if grant.revoked_at is None:
            self.note(AuditAction.GRANT_REVOKED, grant)

    def note(self, action: AuditAction, grant: Grant) -> None:
        """Write to the audit log what was done with a grant."""
        values = {
            "application_id": grant.application_id,
            "user_id": grant.user_id,
            "scopes": grant.scopes,
        }
        is_given = action is AuditAction.GRANT_GIVEN
        before, after = (None, values) if is_given else (values, None)
        note(self.tx, grant.account_id, action, grant.id, before, after)


class _Challenge(CodeChallenge):
    """PKCE with S256 only; a client without a secret must use it (RFC 9700, 2.1.1)."""

    CODE_CHALLENGE_METHODS: ClassVar = {
        "S256": lambda verifier, challenge: hmac.compare_digest(
            create_s256_code_challenge(verifier), challenge
        )
    }

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if "code_challenge" in data and data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("The 'code_challenge_method' must be S256.")
        if "code_challenge" not in data and not grant.client.application.confidential:
            raise InvalidRequestError("Missing 'code_challenge'.")
        super().validate_code_challenge(grant, redirect_uri)


class _CodeGrant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = EVERY_CLIENT
    server: OAuthServer

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuth2Request, client: Client) -> str:
        asked: str | None = request.payload.redirect_uri
        if asked is not None and not client.check_redirect_uri(asked):
            raise InvalidRequestError("The 'redirect_uri' is not one that the client registered.")
        known = asked or client.get_default_redirect_uri()
        if known is None:
            raise InvalidRequestError("Missing 'redirect_uri' in request.")
        return known

    def generate_authorization_code(self) -> str:
        return new_secret(CODE_PREFIX)

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        scopes = scopes_named(request.scope)
        assert scopes is not None  # Authlib has validated them
        grant = msgspec.structs.replace(
            self.server.grant_for(request.client, request.user.user_id, scopes),
            redirect_uri=request.payload.redirect_uri,
            code_challenge=request.payload.data.get("code_challenge"),
            code_expires_at=Instant(self.server.now + CODE_LIFETIME_S * SECOND_US),
        )
        kept = oauth.insert_grant(self.server.tx, grant, hash_of(code))
        self.server.note(AuditAction.GRANT_GIVEN, kept)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        tx, now = self.server.tx, self.server.now
        grant = oauth.grant_by_code(tx, hash_of(code))
        if grant is None or grant.application_id != client.application.id:
            return None
        if grant.exchanged_at is not None:
            # The code may be stolen: revoke all tokens that it gave (RFC 6749, 4.1.2).
            self.server.revoke(grant)
            return None
        expired = grant.code_expires_at is None or grant.code_expires_at <= now
        return None if expired or grant.revoked_at is not None else Code(grant)

    def authenticate_user(self, authorization_code: Code) -> Grant | None:
        grant = authorization_code.grant
        self.request.credential = grant
        return grant if is_let_in(self.server.tx, grant.user_id) else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        # The code is not deleted, so that a second use of it is noticed.
        oauth.mark_exchanged(self.server.tx, authorization_code.grant.id, self.server.now)


class _RefreshGrant(RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = EVERY_CLIENT
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: OAuthServer

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        tx, now = self.server.tx, self.server.now
        found = _refresh(tx, refresh_token, now)
        if found is not None and found.token.used_at is not None:
            # Either the client or a thief sent an old token: both lose access (RFC 9700, 4.14).
            self.server.revoke(found.grant)
        if found is None or found.is_expired() or found.is_revoked():
            return None
        return found if is_let_in(self.server.tx, found.grant.user_id) else None

    def authenticate_user(self, refresh_token: Refresh) -> Grant:
        self.request.credential = refresh_token.grant
        return refresh_token.grant

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        oauth.mark_used(self.server.tx, refresh_token.token.id, self.server.now)


class _CredentialsGrant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = WITH_SECRET
    server: OAuthServer

    def validate_token_request(self) -> None:
        super().validate_token_request()
        client: Client = self.request.client
        user_id = client.application.user_id
        assert user_id is not None  # `check_grant_type` checked it
        if not is_let_in(self.server.tx, user_id):
            raise UnauthorizedClientError("The user that the client acts as is disabled.")
        own = oauth.own_grant(self.server.tx, client.application)
        if own is None:
            new = self.server.grant_for(client, user_id, client.application.scopes)
            own = oauth.insert_grant(self.server.tx, new, None)
            self.server.note(AuditAction.GRANT_GIVEN, own)
        self.request.credential = own


def _demand_token(_endpoint: object, request: OAuth2Request, _client: Client) -> None:
    """Demand a token. Any hint is accepted: it only says where to look first (RFC 7009, 2.1)."""
    if "token" not in request.form:
        raise InvalidRequestError("Missing 'token' in request.")


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS: ClassVar = EVERY_CLIENT
    server: OAuthServer
    check_params = _demand_token

    def query_token(self, token_string: str, token_type_hint: str | None) -> Any:  # noqa: ANN401, ARG002  the kinds share no class; the hint is not needed
        return _any_token(self.server, token_string)

    def revoke_token(self, token: Access | Refresh, request: OAuth2Request) -> None:  # noqa: ARG002  the token says all
        if isinstance(token, Access):
            if tokens.revoke(self.server.tx, token.token.id, self.server.now):
                before = {"grant_id": token.grant.id}
                account_id = token.grant.account_id
                note(self.server.tx, account_id, AuditAction.TOKEN_REVOKED, token.token.id, before)
        else:
            self.server.revoke(token.grant)


class _Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS: ClassVar = WITH_SECRET
    server: OAuthServer
    check_params = _demand_token
    _client_id = ""

    def query_token(self, token_string: str, token_type_hint: str | None) -> Any:  # noqa: ANN401, ARG002  as above
        return _any_token(self.server, token_string)

    def check_permission(
        self,
        token: Access | Refresh,
        client: Client,
        request: OAuth2Request,  # noqa: ARG002  the token and the client say all
    ) -> bool:
        """Whether it may see the token: an application sees only its own tokens."""
        self._client_id = client.get_client_id()
        return token.check_client(client) and is_let_in(self.server.tx, token.grant.user_id)

    def introspect_token(self, token: Access | Refresh) -> dict[str, Any]:
        return token.describe() | {
            "active": True,
            "client_id": self._client_id,
            "sub": str(token.grant.user_id),
            "iss": self.server.issuer,
        }


def _any_token(server: OAuthServer, secret: str) -> Access | Refresh | None:
    """The access or refresh token with that secret, or None; personal tokens are not returned."""
    found = tokens.by_secret(server.tx, hash_of(secret))
    if found is None or found.grant_id is None:
        return _refresh(server.tx, secret, server.now)
    grant = oauth.grant(server.tx, found.grant_id)
    assert grant is not None  # a token refers to it
    return Access(found, grant, server.now)


def _refresh(tx: Transaction, secret: str, now: Instant) -> Refresh | None:
    found = oauth.refresh_token(tx, hash_of(secret))
    if found is None:
        return None
    grant = oauth.grant(tx, found.grant_id)
    assert grant is not None  # a token refers to it
    return Refresh(found, grant, now)


def _lifetime_s(client: Client, grant_type: str) -> int | None:
    """The lifetime of an access token in seconds; None means until it is revoked.

    A token from the client credentials grant always expires: the client can get a new one at any
    time, and nobody would revoke the old ones.
    """
    lifetime_s = client.application.token_lifetime_s
    if lifetime_s is None and grant_type == ClientCredentialsGrant.GRANT_TYPE:
        return ACCESS_TOKEN_LIFETIME_S
    return lifetime_s
