"""Stores the sample in `consultancy`: half a year of reports that ends today."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from msgspec.structs import replace

from healthreports.core.cadence import day_of
from healthreports.core.model import Actor, Instant, User
from healthreports.core.vocabulary import (
    DAY_US,
    SECOND_US,
    AccountPermission,
    Category,
    Color,
    ParticipationPermission,
    Scope,
    Side,
    Weekday,
)
from healthreports.sample.consultancy import COMPANY, NOTICE, PEOPLE, PROJECTS, Project
from healthreports.service.people import accounts, groups, members, workspaces
from healthreports.service.reports import reports, sharing
from healthreports.store.engine.database import Transaction
from healthreports.store.people import workspaces as stored

CLIENT: Final = "Fjordbank"
# The person at the client who reads the reports that the client may see.
READER: Final = ("Eline Halvorsen", "viewer@example.org", "Chief operating officer, Fjordbank")
_COLORS: Final = {"g": Color.GREEN, "y": Color.YELLOW, "r": Color.RED}
_GREEN: Final = (
    "{n} {parts}; everything is as planned.",
    "A quiet week: {thing} moves on. {n} {parts}.",
    "{n} {parts}. Two small risks closed, none new.",
    "The steering group saw {thing} on Thursday and had no questions. {n} {parts}.",
    "The team is complete again. {n} {parts}.",
    "{n} {parts}. The client signed the last delivery without remarks.",
)
_YELLOW: Final = (
    "A few days behind on {thing}: a key person was ill. We expect to be back on plan in two weeks.",
    "{n} {parts}, fewer than planned. The client helps with testers from Monday.",
    "The estimate for {thing} was too low. We plan again this week and report the result next time.",
    "A decision on {thing} is still open at the client, and starts to cost days. We asked for it again.",
    "The last delivery was not good enough; the supplier reworks it until Friday.",
)
_RED: Final = (
    "No progress on {thing} this week. We need a decision from the steering group by Friday.",
    "The date cannot be held. We need approval of the new plan by Wednesday.",
    "{n} {parts}, and the last delivery had to be returned. We ask for two more people for a month.",
    "Third week without progress on {thing}. We ask for an escalation to the supplier's board.",
)
_SAYINGS: Final = {Color.GREEN: _GREEN, Color.YELLOW: _YELLOW, Color.RED: _RED}
_NOTES: Final = {
    (Category.SCOPE, Color.YELLOW): "One item moved to the next release, agreed with the client.",
    (Category.SCOPE, Color.RED): "The scope is disputed. We need a decision of the change board.",
    (Category.BUDGET, Color.YELLOW): "Three per cent over plan; the reserve covers it.",
    (Category.BUDGET, Color.RED): "Ten per cent over plan. We need release of the contingency.",
    (Category.SCHEDULE, Color.YELLOW): "A few days behind; the float covers it.",
    (Category.SCHEDULE, Color.RED): "Three weeks behind. We need a decision on the new date.",
    (Category.CLIENT, Color.YELLOW): "The client waits for an answer on one point, due this week.",
    (
        Category.CLIENT,
        Color.RED,
    ): "The client has escalated. We need a meeting of both managements.",
}
# The id of the newest report of the first project, which has an external reference.
SHOWN_REPORT: Final = len(PROJECTS[0].arc.replace(" ", ""))
# The reports that were edited: number of the project, weeks ago, and the text that was added.
_EDITS: Final = (
    (0, 1, " Correction: the interfaces tested are 48, not 50."),
    (7, 0, " Added after the call on Tuesday: the client names an owner by Friday."),
    (23, 2, " The gearbox is confirmed."),
)
# The projects with a share link, which shows the current report without the budget.
_SHARED: Final = (0, 14)


def load(tx: Transaction, now: Instant) -> int:
    """Store the consultancy and its half year. Returns the id of its account."""
    today = Instant(now - now % DAY_US)
    begun = Instant(today - 200 * DAY_US)
    account_id = accounts.create_account(tx, COMPANY, begun)
    people = [_person(tx, account_id, *one, begun) for one in PEOPLE]
    reader = _person(tx, account_id, *READER, begun)
    head = _actor(people[0], AccountPermission.ADMINISTRATOR)
    for number, project in enumerate(PROJECTS):
        workspace_id = _workspace(tx, number, project, people, reader, today)
        made = [
            (weeks_ago, reports.create(tx, _actor(people[by]), sent, when))
            for weeks_ago, by, sent, when in _reports(number, project, workspace_id, today)
        ]
        for edited, weeks_ago, addition in _EDITS:
            for ago, report in made:
                if (edited, weeks_ago) == (number, ago):
                    text = {"description": report.description + addition}
                    later = Instant(min(report.created_at + DAY_US // 2, now))
                    reports.change(tx, head, report.id, text, later)
        if number in _SHARED:
            since = Instant(today - 3 * DAY_US)
            hidden = frozenset({Category.BUDGET})
            newest = made[-1][1].id
            sharing.make(tx, head, newest, since, days=90, hidden=hidden, follows=True)
    return account_id


def _person(  # noqa: PLR0917  as the sample has them
    tx: Transaction, account_id: int, name: str, email: str, headline: str, now: Instant
) -> User:
    is_head = email == PEOPLE[0].email_address
    user = members.create_user(
        tx,
        account_id,
        full_name=name,
        email_address=email,
        permission=AccountPermission.ADMINISTRATOR if is_head else AccountPermission.COLLABORATOR,
        now=now,
    )
    members.change_profile(tx, _actor(user), name, headline, now)
    return user


def _actor(user: User, permission: AccountPermission = AccountPermission.COLLABORATOR) -> Actor:
    return Actor(
        user_id=user.id,
        account_id=user.account_id,
        permission=permission,
        token_id=0,
        scopes=frozenset(Scope),
        last_used_at=None,
    )


def _workspace(  # noqa: PLR0917  all that a project is made of
    tx: Transaction,
    number: int,
    project: Project,
    people: list[User],
    reader: User,
    today: Instant,
) -> int:
    weeks = len(project.arc) - len(project.arc.lstrip())
    begun = Instant(today - (max(len(project.arc) - weeks, 0) * 7 + 3) * DAY_US)
    owner = people[project.owner]
    workspace_id = workspaces.make_workspace(tx, owner, project.title, begun, NOTICE)
    admin = ParticipationPermission.ADMIN
    workspaces.join(tx, workspace_id, owner, admin, begun, team_lead=True)
    second = people[(project.owner + 1 + number % 6) % len(people)]
    workspaces.join(tx, workspace_id, second, ParticipationPermission.EDIT, begun)
    day = day_of(today)
    before = stored.workspace(tx, owner.account_id, workspace_id)
    assert before is not None  # it was just made
    planned = replace(
        before,
        start_date=_day(day, (begun - today) // DAY_US),
        due_date=_day(day, project.due),
        report_every=project.every,
        report_day=list(Weekday)[(day + timedelta(days=number % 3)).weekday()],
        report_paused_until=_day(day, project.paused) if project.paused else None,
        clients_see_status_reports=project.client == CLIENT,
    )
    stored.replace_workspace(tx, before, planned)
    if project.client == CLIENT:
        view = ParticipationPermission.VIEW
        workspaces.join(tx, workspace_id, reader, view, begun, side=Side.CLIENT)
    head = _actor(people[0], AccountPermission.ADMINISTRATOR)
    for name, company in ((project.client, True), (project.programme, False)):
        group = groups.named(tx, head, name, begun, company=company)
        added = {"add_workspace_ids": [str(workspace_id)]}
        groups.change_group(tx, head, group.id, added, begun)
    return workspace_id


def _day(today: date, days: int) -> str:
    return (today + timedelta(days=days)).isoformat()


def _reports(
    number: int, project: Project, workspace_id: int, today: Instant
) -> Iterator[tuple[int, int, dict[str, Any], Instant]]:
    """Each report: how many weeks ago, its author, its attributes, and when it was created."""
    newest = len(project.arc.rstrip()) - 1
    for week, letter in enumerate(project.arc):
        if letter == " ":
            continue
        weeks_ago = len(project.arc) - 1 - week
        # Between 8:00 and 16:00 UTC, one to four days before the weekday that today is.
        days_ago = 7 * weeks_ago + number % 4 + 1
        minutes = 8 * 60 + (number * 37 + week * 11) % 480
        when = Instant(today - days_ago * DAY_US + minutes * 60 * SECOND_US)
        color = _COLORS[letter]
        is_newest = week == newest
        sent = {
            "workspace_id": workspace_id,
            "color": color,
            "description": project.says if is_newest else _saying(number, project, week, color),
            "details": list(_details(project, color, is_newest=is_newest)),
        }
        if is_newest and number % 3 == 0:
            initials = "".join(word[0] for word in project.title.split()).upper()
            sent["external_reference"] = {
                "service_name": "jira",
                "service_model": "Epic",
                "service_model_ref": f"{initials}-{number + 12}",
            }
        yield weeks_ago, project.owner, sent, when


def _saying(number: int, project: Project, week: int, color: Color) -> str:
    sayings = _SAYINGS[color]
    text = sayings[(number + week) % len(sayings)]
    return text.format(thing=project.thing, n=4 + 2 * week, parts=project.parts)


def _details(project: Project, color: Color, *, is_newest: bool) -> Iterator[dict[str, Any]]:
    if is_newest:
        for category, letter, note in zip(Category, project.now, project.notes, strict=True):
            if letter in _COLORS:
                yield _detail(category, _COLORS[letter], note)
        return
    # The categories that are worst today were also worst in earlier reports.
    severity = "-gyr"
    worst_first = sorted(range(4), key=lambda place: -severity.index(project.now[place]))
    colors = dict.fromkeys(worst_first, Color.GREEN)
    if color is not Color.GREEN:
        colors[worst_first[0]] = color
    if color is Color.RED:
        colors[worst_first[1]] = Color.YELLOW
    for place, category in enumerate(Category):
        if project.now[place] != "-" or colors[place] is not Color.GREEN:
            yield _detail(category, colors[place], _NOTES.get((category, colors[place]), ""))


def _detail(category: Category, color: Color, note: str) -> dict[str, Any]:
    return {"category": category.value, "color": color} | ({"description": note} if note else {})
