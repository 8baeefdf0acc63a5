"""OAuth 2: each request in one transaction, and the metadata that clients discover it by.

An error of the protocol is a reply and not an exception, so what was written before it is kept: the
second use of a code is refused and still revokes what the first use gave.
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
# Where a client finds the others (RFC 8414).
METADATA: Final = "/.well-known/oauth-authorization-server"


class Consent(msgspec.Struct, frozen=True):
    """What a user is asked: may `application` act for me, within `scopes`."""

    application: Application
    scopes: frozenset[Scope]
    redirect_uri: str


class Refused(Exception):
    """A request for consent that nobody is asked about; `reply` says so to whom it may."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


def consent(tx: Transaction, actor: Actor, issuer: str, asked: OAuthCall, now: Instant) -> Consent:
    """What `actor` is to be asked. Raises Refused, ProofNeeded."""
    demand_recent_proof(actor, now)  # consent gives as much away as a token does
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
        server.issuer_parameter.add_issuer_parameter(server, reply)  # no hook passes here
        raise Refused(reply) from error


def give_token(tx: Transaction, issuer: str, asked: OAuthCall, now: Instant) -> Reply:
    """Answer a call of the token endpoint."""
    server = OAuthServer(tx, issuer, now)
    return server.reply_of(server.create_token_response, asked)


def revoke(tx: Transaction, issuer: str, asked: OAuthCall, now: Instant) -> Reply:
    """Answer a call of the revocation endpoint."""
    server = OAuthServer(tx, issuer, now)
    return server.reply_of(server.create_endpoint_response, REVOCATION, asked)


def introspect(tx: Transaction, issuer: str, asked: OAuthCall, now: Instant) -> Reply:
    """Answer a call of the introspection endpoint."""
    server = OAuthServer(tx, issuer, now)
    return server.reply_of(server.create_endpoint_response, INTROSPECTION, asked)


Endpoint = Callable[[Transaction, str, OAuthCall, Instant], Reply]
# What programs call; each takes the transaction, the issuer, what was asked, and the present.
ENDPOINTS: Final[dict[str, Endpoint]] = {
    TOKEN: give_token,
    REVOKE: revoke,
    INTROSPECT: introspect,
}


def server_metadata(issuer: str) -> dict[str, Any]:
    """What a client can find out about us (RFC 8414)."""
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
    """What a client can find out about the API at `path` (RFC 9728)."""
    return {
        "resource": issuer + path,
        "authorization_servers": [issuer],
        "scopes_supported": list(Scope),
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{issuer}/docs",
    }
