"""OAuth 2: each request in one transaction, and the metadata for client discovery.

A protocol error is a reply and not an exception, so writes that came before it are committed. For
example, the second use of a code is refused and still revokes the tokens from the first use.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from authlib.oauth2 import OAuth2Error

from healthreports.core.model import Actor, Application, Instant
from healthreports.core.vocabulary import Scope
from healthreports.service.auth.oauth_objects import (
    EVERY_CLIENT,
    INTROSPECTION,
    REVOCATION,
    WITH_SECRET,
    Client,
    OAuthCall,
    Reply,
    scopes_named,
)
from healthreports.service.auth.oauth_server import OAuthServer
from healthreports.service.lookup import demand_recent_proof
from healthreports.store.engine.database import Transaction

AUTHORIZE, TOKEN, REVOKE, INTROSPECT = (
    f"/oauth/{name}" for name in ("authorize", "token", "revoke", "introspect")
)
# The path at which clients discover the other endpoints (RFC 8414).
METADATA: Final = "/.well-known/oauth-authorization-server"


class Consent(msgspec.Struct, frozen=True):
    """The question to a user: may `application` act for you, within `scopes`?"""

    application: Application
    scopes: frozenset[Scope]
    redirect_uri: str


class Refused(Exception):
    """A request for consent that is refused without asking the user; `reply` is the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


def consent(tx: Transaction, actor: Actor, issuer: str, asked: OAuthCall, now: Instant) -> Consent:
    """The consent that `actor` is asked for. Raises Refused, ProofNeeded."""
    demand_recent_proof(actor, now)  # consent gives as much access as a token
    grant = _consent_grant(OAuthServer(tx, issuer, now, actor), actor, asked)
    client: Client = grant.client
    scopes = scopes_named(grant.request.scope)
    assert scopes is not None  # Authlib has validated them
    return Consent(client.application, scopes, grant.redirect_uri)


def decide(
    tx: Transaction, actor: Actor, issuer: str, asked: OAuthCall, now: Instant, *, allowed: bool
) -> Reply:
    """Send the browser back with a code, or with a refusal. Raises Refused, ProofNeeded."""
    server = OAuthServer(tx, issuer, now, actor)
    grant = _consent_grant(server, actor, asked)
    if allowed:
        demand_recent_proof(actor, now)
    reply: Reply = server.create_authorization_response(
        grant.request, grant_user=actor if allowed else None, grant=grant
    )
    return reply


def _consent_grant(server: OAuthServer, actor: Actor, asked: OAuthCall) -> Any:  # noqa: ANN401  Authlib's
    try:
        return server.get_consent_grant(asked, actor)
    except OAuth2Error as error:
        reply = server.handle_error_response(None, error)
        server.issuer_parameter.add_issuer_parameter(server, reply)  # no hook is called
        raise Refused(reply) from error


def give_token(tx: Transaction, issuer: str, asked: OAuthCall, now: Instant) -> Reply:
    """Answer a request to the token endpoint."""
    server = OAuthServer(tx, issuer, now)
    return server.reply_of(server.create_token_response, asked)


def revoke(tx: Transaction, issuer: str, asked: OAuthCall, now: Instant) -> Reply:
    """Answer a request to the revocation endpoint."""
    server = OAuthServer(tx, issuer, now)
    return server.reply_of(server.create_endpoint_response, REVOCATION, asked)


def introspect(tx: Transaction, issuer: str, asked: OAuthCall, now: Instant) -> Reply:
    """Answer a request to the introspection endpoint."""
    server = OAuthServer(tx, issuer, now)
    return server.reply_of(server.create_endpoint_response, INTROSPECTION, asked)


Endpoint = Callable[[Transaction, str, OAuthCall, Instant], Reply]
# The endpoints for programs. Each takes the transaction, the issuer, the request, and the time.
ENDPOINTS: Final[dict[str, Endpoint]] = {
    TOKEN: give_token,
    REVOKE: revoke,
    INTROSPECT: introspect,
}


def server_metadata(issuer: str) -> dict[str, Any]:
    """The metadata of this authorization server (RFC 8414)."""
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "token_endpoint": issuer + TOKEN,
        "revocation_endpoint": issuer + REVOKE,
        "introspection_endpoint": issuer + INTROSPECT,
        "scopes_supported": list(Scope),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": EVERY_CLIENT,
        "revocation_endpoint_auth_methods_supported": EVERY_CLIENT,
        "introspection_endpoint_auth_methods_supported": WITH_SECRET,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/docs",
    }


def resource_metadata(issuer: str, path: str) -> dict[str, Any]:
    """The metadata of the API at `path` as a protected resource (RFC 9728)."""
    return {
        "resource": issuer + path,
        "authorization_servers": [issuer],
        "scopes_supported": list(Scope),
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{issuer}/docs",
    }
