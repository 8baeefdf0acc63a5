"""OAuth consent page: a user allows an application to act for them. See `service/auth/oauth`."""

from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from healthreports.core.errors import BadConsentRequest, ProofNeeded
from healthreports.core.model import Clock
from healthreports.service.auth import oauth
from healthreports.service.auth.oauth_objects import OAuthCall, Reply
from healthreports.service.gateway import Gateway
from healthreports.web.kit import session
from healthreports.web.kit.forms import sent_form
from healthreports.web.kit.show import lead_to, page, who


class ConsentPage:
    """The page `/oauth/authorize`. `issuer` is the issuer identifier of this server."""

    def __init__(self, gateway: Gateway, clock: Clock, issuer: str) -> None:
        self._gateway = gateway
        self._clock = clock
        self._issuer = issuer

    async def ask(self, request: Request) -> Response:
        """Ask the user to allow or refuse the application."""
        asked, now = _asked(request), self._clock()
        try:
            found = await self._gateway.read(
                session.secret_of(request),
                lambda tx, actor: (
                    oauth.consent(tx, actor, self._issuer, asked, now),
                    who(tx, actor),
                ),
            )
        except oauth.Refused as refused:
            return _onward(request, refused.reply)
        consent, asker = found
        values = asker | {
            "application": consent.application,
            "scopes": consent.scopes,
            "leads_to": _leads_to(consent.redirect_uri),
            "query": request.url.query,
        }
        return page(request, "consent.html", values, forms_lead_to=_places(consent.redirect_uri))

    async def decide(self, request: Request) -> Response:
        """Redirect the browser to the application with the user's decision."""
        writer, fields, _ = await sent_form(self._gateway, request)
        asked = _asked(request)
        allowed = fields.get("decision") == "allow"
        try:
            reply = await self._gateway.write(
                writer,
                lambda tx, actor, now: oauth.decide(
                    tx, actor, self._issuer, asked, now, allowed=allowed
                ),
            )
        except oauth.Refused as refused:
            return _onward(request, refused.reply)
        # The page asks for the proof: a form with a proof could not redirect to another origin.
        except ProofNeeded:
            return lead_to(f"{request.url.path}?{request.url.query}")
        return _onward(request, reply)


def _asked(request: Request) -> OAuthCall:
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    return OAuthCall(request.method, request.url.path, pairs)


def _onward(request: Request, reply: Reply) -> Response:
    """Redirect to the application, or show an error if no redirect URI can be trusted."""
    if reply.location is not None:
        return lead_to(reply.location)
    body = reply.body if isinstance(reply.body, dict) else {}
    says = body.get("error_description") or body.get("error", "")
    return page(request, "failed.html", {}, BadConsentRequest(says))


def _places(address: str) -> str:
    """The `form-action` sources for a redirect to `address` and for redirects from there.

    A browser checks the whole chain of redirects. A policy has no syntax for an IPv6 address.
    """
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") and "[" not in parts.netloc:
        return f"{parts.scheme}://{parts.netloc} https:"
    return f"{parts.scheme}: https:"


def _leads_to(address: str) -> str:
    parts = urlsplit(address)
    return parts.netloc or f"an application on this machine ({parts.scheme})"
