"""The routes of all pages."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from healthreports.core.model import Clock
from healthreports.core.vocabulary import DEFAULT_TRASH_DAYS
from healthreports.service.auth import oauth
from healthreports.service.auth.second_step import SecondStep
from healthreports.service.auth.sign_in import SignIn
from healthreports.service.gateway import Gateway
from healthreports.service.limits import Limits
from healthreports.service.people import members
from healthreports.web.auth.account import AccountPages
from healthreports.web.auth.again import Again
from healthreports.web.auth.consent import ConsentPage
from healthreports.web.auth.developers import DeveloperPages
from healthreports.web.auth.entrance import Entrance
from healthreports.web.auth.factors import FactorPages
from healthreports.web.auth.oidc import Provider
from healthreports.web.auth.second_step import SecondStepPage
from healthreports.web.kit import session
from healthreports.web.kit.addresses import (
    ACCOUNT,
    ADDRESS,
    AGAIN,
    APPLICATIONS,
    AUDIT,
    CADENCE,
    CALLBACK,
    DEVELOPERS,
    FACTORS,
    HOME,
    PEOPLE,
    PORTFOLIO_FILE,
    REPORTS,
    SECOND_STEP,
    SETTINGS,
    SHARED,
    SIGN_IN,
    SWITCH,
    WELCOME,
    WORKSPACES,
)
from healthreports.web.kit.documents import Documents
from healthreports.web.kit.show import STATIC_FILES, Handler, Methods, shown, static_file
from healthreports.web.people.account_people import PeoplePages
from healthreports.web.people.account_settings import SettingsPage
from healthreports.web.people.audit import AuditPage
from healthreports.web.people.endings import EndingPages
from healthreports.web.people.workspace_people import WorkspacePages
from healthreports.web.reports.cadence import CadencePage
from healthreports.web.reports.history import HistoryPages
from healthreports.web.reports.portfolio import PortfolioPage
from healthreports.web.reports.records import RecordPages
from healthreports.web.reports.searching import SearchPage
from healthreports.web.reports.sharing import SharingPages
from healthreports.web.reports.writing import WritingPages


def page_routes(  # noqa: PLR0917  the dependencies of all pages
    gateway: Gateway,
    sign_in: SignIn,
    second: SecondStep,
    limits: Limits,
    provider: Provider | None,
    clock: Clock,
    origin: str,
    trash_days: int = DEFAULT_TRASH_DAYS,
) -> Sequence[BaseRoute]:
    """The routes of all pages.

    `gateway` authenticates users by their sessions; `origin` is the server's own origin. A deleted
    report stays in the trash for `trash_days` days.
    """
    entrance = Entrance(gateway, sign_in, second, limits, provider, clock, origin)
    second_step = SecondStepPage(second, sign_in, clock)
    factors = FactorPages(gateway, second, clock)
    consent = ConsentPage(gateway, clock, origin)
    account = AccountPages(gateway, sign_in, clock)
    developers = DeveloperPages(gateway, origin)
    documents = Documents(limits)
    portfolio = PortfolioPage(gateway, documents, clock)
    cadence = CadencePage(gateway, clock)
    records = RecordPages(gateway, documents, clock, trash_days)
    past = HistoryPages(gateway, clock, trash_days)
    writing = WritingPages(gateway, clock)
    shares = SharingPages(gateway, limits, documents, records, clock, origin)
    people = PeoplePages(gateway, sign_in, provider.name if provider else None, clock, origin)
    workspaces = WorkspacePages(gateway)
    audit = AuditPage(gateway)
    settings = SettingsPage(gateway)
    endings = EndingPages(gateway)
    pages: list[tuple[str, str, Handler]] = [
        ("GET", HOME, portfolio.show),
        ("POST", "/views", portfolio.save_view),
        ("POST", "/views/forget", portfolio.forget_view),
        ("GET", CADENCE, cadence.show),
        ("POST", CADENCE, cadence.save),
        ("GET", f"{PORTFOLIO_FILE}csv", portfolio.download_csv),
        ("GET", f"{PORTFOLIO_FILE}xlsx", portfolio.download_xlsx),
        ("GET", "/search", SearchPage(gateway, clock).show),
        ("GET", f"{WORKSPACES}/new", workspaces.ask_workspace),
        ("POST", f"{WORKSPACES}/new", workspaces.make_workspace),
        ("GET", f"{WORKSPACES}/archived", past.show_archive),
        ("GET", f"{WORKSPACES}/{{id}}", records.show_workspace),
        ("GET", f"{WORKSPACES}/{{id}}/deleted", past.show_trash),
        ("POST", f"{WORKSPACES}/{{id}}/bring-back", past.bring_back),
        ("GET", f"{WORKSPACES}/{{id}}/settings", workspaces.show_settings),
        ("POST", f"{WORKSPACES}/{{id}}/settings", workspaces.change_workspace),
        ("POST", f"{WORKSPACES}/{{id}}/participants", workspaces.add_participant),
        ("POST", f"{WORKSPACES}/{{id}}/participants/remove", workspaces.remove_participant),
        ("GET", f"{WORKSPACES}/{{id}}/reports/new", writing.begin),
        ("POST", f"{WORKSPACES}/{{id}}/reports/new", writing.save),
        ("GET", f"{REPORTS}/{{id}}.md", records.download_markdown),
        ("GET", f"{REPORTS}/{{id}}.pdf", records.download_pdf),
        ("GET", f"{REPORTS}/{{id}}/badge.svg", records.show_badge),
        ("GET", f"{REPORTS}/{{id}}/edit", writing.begin),
        ("POST", f"{REPORTS}/{{id}}/edit", writing.save),
        ("POST", f"{REPORTS}/{{id}}/delete", records.delete_report),
        ("GET", f"{REPORTS}/{{id}}/versions", past.show_versions),
        ("POST", f"{REPORTS}/{{id}}/versions", past.take_version_back),
        ("POST", "/deleted/{id}/restore", past.restore),
        ("POST", "/deleted/{id}/purge", past.purge),
        ("GET", f"{REPORTS}/{{id}}", records.show_report),
        ("POST", f"{REPORTS}/{{id}}/shares", shares.make),
        ("POST", "/shares/{id}/revoke", shares.revoke),
        ("GET", SHARED, shares.open),
        ("GET", f"{SHARED}/badge.svg", shares.show_badge),
        ("GET", f"{SHARED}/report.pdf", shares.download_pdf),
        ("GET", f"{WORKSPACES}/{{id}}/delete", endings.ask_workspace),
        ("POST", f"{WORKSPACES}/{{id}}/delete", endings.delete_workspace),
        ("GET", f"{WORKSPACES}/{{id}}/export.ndjson", endings.export_workspace),
        ("GET", f"{SETTINGS}/delete", endings.ask_account),
        ("POST", f"{SETTINGS}/delete", endings.close_account),
        ("GET", f"{SETTINGS}/export.ndjson", endings.export_account),
        ("GET", SETTINGS, settings.show),
        ("POST", f"{SETTINGS}/name", settings.rename),
        ("POST", f"{SETTINGS}/second-factor", settings.demand_factor),
        ("GET", AUDIT, audit.show),
        ("GET", f"{AUDIT}.csv", audit.download_csv),
        ("GET", f"{AUDIT}.ndjson", audit.download_json_lines),
        ("GET", PEOPLE, people.show),
        ("POST", PEOPLE, people.add),
        ("POST", f"{PEOPLE}/{{id}}/invite", people.invite),
        ("POST", f"{PEOPLE}/{{id}}/confirm", people.confirm),
        ("POST", f"{PEOPLE}/{{id}}/withdraw", people.withdraw),
        ("POST", f"{PEOPLE}/memberships/{{id}}", people.change),
        ("POST", f"{PEOPLE}/{{id}}/address", people.send_address),
        ("POST", f"{PEOPLE}/{{id}}/hand-over", people.hand_over),
        ("GET", WELCOME, people.welcome),
        ("POST", WELCOME, people.accept),
        ("POST", f"{WELCOME}/provider", entrance.accept_by_provider),
        ("GET", SIGN_IN, entrance.ask),
        ("POST", SIGN_IN, entrance.take),
        ("POST", "/sign-in/passkey", entrance.take_passkey),
        ("GET", SECOND_STEP, second_step.ask),
        ("POST", SECOND_STEP, second_step.take),
        ("POST", f"{SECOND_STEP}/new", second_step.set_up),
        ("GET", "/sign-in/provider", entrance.ask_provider),
        ("GET", CALLBACK, entrance.come_back),
        ("POST", "/sign-out", entrance.leave),
        ("POST", SWITCH, entrance.switch),
        ("GET", oauth.AUTHORIZE, consent.ask),
        ("POST", oauth.AUTHORIZE, consent.decide),
        ("GET", ACCOUNT, account.show),
        ("GET", DEVELOPERS, developers.show),
        ("POST", f"{DEVELOPERS}/tokens", developers.make_token),
        ("POST", f"{DEVELOPERS}/tokens/{{id}}/revoke", developers.revoke_token),
        ("POST", f"{ACCOUNT}/grants/{{id}}/revoke", account.revoke_grant),
        ("POST", f"{ACCOUNT}/sessions/{{id}}/end", account.end_session),
        ("POST", f"{ACCOUNT}/sessions/end-others", account.end_other_sessions),
        ("POST", f"{ACCOUNT}/profile", account.change_profile),
        ("POST", f"{ADDRESS}/want", account.want_address),
        ("GET", ADDRESS, account.ask_address),
        ("POST", ADDRESS, account.take_address),
        ("POST", f"{ACCOUNT}/password", account.change_password),
        ("POST", f"{ACCOUNT}/invitation/withdraw", account.withdraw_invitation),
        ("GET", FACTORS, factors.ask),
        ("POST", FACTORS, factors.add),
        ("POST", f"{FACTORS}/codes", factors.renew_codes),
        ("POST", f"{FACTORS}/{{id}}/remove", factors.remove),
        ("GET", APPLICATIONS, account.show_applications),
        ("POST", APPLICATIONS, account.register),
        ("POST", f"{APPLICATIONS}/{{client_id}}/revoke", account.revoke_application),
    ]
    readable = [path for method, path, _ in pages if method == "GET" and "{" not in path]
    again = Again(second, provider, clock, frozenset(readable))
    pages.append(("POST", AGAIN, again.take))

    async def whom_to_ask(request: Request) -> Sequence[str]:
        return await gateway.read(session.secret_of(request), members.whom_to_ask)

    addresses: dict[str, dict[str, Handler]] = {}
    for method, path, handler in pages:
        addresses.setdefault(path, {})[method] = handler
    # Not the consent page: without the parameters of the application it cannot be shown again.
    read_again = {path for path, of in addresses.items() if "GET" in of} - {oauth.AUTHORIZE}
    routes = [
        Route(
            path,
            Methods(
                path,
                {
                    method: shown(handler, limits, again, whom_to_ask, is_page=path in read_again)
                    for method, handler in handlers.items()
                },
            ),
        )
        for path, handlers in addresses.items()
    ]
    files = {f"/static/{name}": {"GET": static_file(name)} for name in STATIC_FILES}
    return [*routes, *(Route(path, Methods(path, one)) for path, one in files.items())]
