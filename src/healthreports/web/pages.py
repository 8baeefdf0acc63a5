"""Every page and its address."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from healthreports.service import oauth
from healthreports.service.gateway import Clock, Gateway
from healthreports.service.limits import Limits
from healthreports.service.sign_in import SignIn
from healthreports.web.account import ACCOUNT, APPLICATIONS, AccountPages
from healthreports.web.consent import ConsentPage
from healthreports.web.entrance import Entrance
from healthreports.web.oidc import CALLBACK, Provider
from healthreports.web.show import FOLDER, SIGN_IN, Handler, shown


def page_routes(  # noqa: PLR0917  all that a page can need
    gateway: Gateway,
    sign_in: SignIn,
    limits: Limits,
    provider: Provider | None,
    clock: Clock,
    origin: str,
) -> Sequence[BaseRoute]:
    """The pages. `gateway` knows people by their sessions; `origin` is our own address."""
    entrance = Entrance(gateway, sign_in, limits, provider, origin)
    consent = ConsentPage(gateway, clock, origin)
    account = AccountPages(gateway, sign_in)
    pages: list[tuple[str, str, Handler]] = [
        ("GET", SIGN_IN, entrance.ask),
        ("POST", SIGN_IN, entrance.take),
        ("GET", "/sign-in/provider", entrance.ask_provider),
        ("GET", CALLBACK, entrance.come_back),
        ("POST", "/sign-out", entrance.leave),
        ("GET", oauth.AUTHORIZE, consent.ask),
        ("POST", oauth.AUTHORIZE, consent.decide),
        ("GET", ACCOUNT, account.show),
        ("POST", f"{ACCOUNT}/tokens", account.make_token),
        ("POST", f"{ACCOUNT}/tokens/{{id}}/revoke", account.revoke_token),
        ("POST", f"{ACCOUNT}/grants/{{id}}/revoke", account.revoke_grant),
        ("POST", f"{ACCOUNT}/password", account.change_password),
        ("GET", APPLICATIONS, account.show_applications),
        ("POST", APPLICATIONS, account.register),
        ("POST", f"{APPLICATIONS}/{{client_id}}/revoke", account.revoke_application),
    ]
    routes: list[BaseRoute] = [
        Route(path, shown(handler), methods=[method]) for method, path, handler in pages
    ]
    return [*routes, Route("/static/style.css", _style, methods=["GET"])]


async def _style(_request: Request) -> Response:
    return FileResponse(FOLDER / "static" / "style.css", media_type="text/css")
