"""Accounts with random people, memberships and reports, and who can see which of them.

The rules are a second implementation of docs/reference/permissions.md. If that page leaves a case
open, `must` is the narrow reading and `may` the wide one. Every stored text contains a marker: a
word that nobody can guess and that occurs nowhere else.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from healthreports.app import now
from healthreports.contract.resources import RESOURCES
from healthreports.core import model
from healthreports.core.vocabulary import AccountPermission, ParticipationPermission, Scope, Side
from healthreports.service.auth import invitations, tokens
from healthreports.service.people import accounts, groups, members, workspaces
from healthreports.service.reports import references, reports
from healthreports.store.auth import credentials
from healthreports.store.people.members import membership

MARKER = re.compile(r"zq[0-9a-f]{16}")
# An id that no object has.
NOBODY = 2**62 + 11

PERMISSIONS = tuple(map(str, AccountPermission))
SIDES = tuple(map(str, Side))
PLACES = tuple(map(str, ParticipationPermission))
COLORS = ("green", "yellow", "red")
SUBJECTS = {"StatusReport": "status_reports", "Workspace": "workspaces"}
TYPES = {kind: name for name, kind in SUBJECTS.items()}
KINDS = tuple(map(str, RESOURCES))
# The kind of record that each include adds; "" if it differs from record to record.
INCLUDES = {
    str(kind): {
        one.name: "" if one.is_polymorphic else str(one.kinds[0]) for one in resource.associations
    }
    for kind, resource in RESOURCES.items()
}


def word() -> str:
    return f"zq{secrets.token_hex(8)}"


@dataclass
class Thing:
    """A stored object: `links` are ids of others, `texts` only for users who can see the object."""

    kind: str
    id: int
    account: int
    links: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


@dataclass
class Sight:
    """By kind, the ids that a caller must be shown on request, and those that it may be shown."""

    must: dict[str, set[int]]
    may: dict[str, set[int]]
    words: set[str]
    user: int


class World:
    """Everything that one example has stored."""

    def __init__(self) -> None:
        self.things: dict[str, dict[int, Thing]] = {kind: {} for kind in KINDS}
        self.secrets: dict[int, str] = {}
        # Several accounts use the same services, so a filter by service matches records of both.
        self.services = [word(), word()]
        # The first people of each account have the same addresses in every account.
        self.addresses = [f"{word()}@example.org" for _ in range(2)]

    def add(self, kind: str, thing_id: int, account: int, **links: Any) -> Thing:
        return self.things[kind].setdefault(thing_id, Thing(kind, thing_id, account, links))

    def all(self, kind: str, **links: Any) -> list[Thing]:
        """All objects of a kind that have these links."""
        return [
            one
            for one in self.things[kind].values()
            if all(one.links[name] == value for name, value in links.items())
        ]

    def remove(self, kind: str, thing_id: int) -> None:
        thing = self.things[kind].pop(thing_id)
        for one in self.all("external_references", subject=(thing.kind, thing.id)):
            del self.things[one.kind][one.id]
        if kind == "participations":
            self.things["workspaces"][thing.links["workspace"]].links["leads"].discard(thing_id)

    def place(self, user: int, space: int) -> Thing | None:
        return next(iter(self.all("participations", workspace=space, user=user)), None)

    # -- who sees what

    def is_administrator(self, user: Thing) -> bool:
        return user.links["permission"] == "administrator"

    def sees_all(self, user: Thing) -> bool:
        return user.links["permission"] in {"administrator", "reports_viewer"}

    def sees_space(self, user: Thing, space: Thing) -> bool:
        return self.place(user.id, space.id) is not None

    def sees_reports(self, user: Thing, space: Thing) -> bool:
        place = self.place(user.id, space.id)
        return place is not None and (place.links["side"] == "provider" or space.links["shown"])

    def sight(self, user: Thing) -> Sight:
        if self.sees_all(user):
            must = may = {
                kind: {one.id for one in self.all(kind) if one.account == user.account}
                for kind in KINDS
            }
        else:
            seen = self._seen_with_workspaces(user)
            must = {**seen, "users": self._shares(user)}
            may = {**seen, "users": must["users"] | self._took_part(seen)}
        things = [self.things[kind][one] for kind in KINDS for one in may[kind]]
        return Sight(must, may, set(markers(things)), user.id)

    def _seen_with_workspaces(self, user: Thing) -> dict[str, set[int]]:
        spaces = {one.id for one in self.all("workspaces") if self.sees_space(user, one)}
        read = {one for one in spaces if self.sees_reports(user, self.things["workspaces"][one])}
        seen = {
            "workspaces": spaces,
            "status_reports": {
                r.id for r in self.all("status_reports") if r.links["space"] in read
            },
            "participations": {
                p.id for p in self.all("participations") if p.links["workspace"] in spaces
            },
            "account_memberships": {m.id for m in self.all("account_memberships", user=user.id)},
        }
        seen["workspace_groups"] = {
            one.id for one in self.all("workspace_groups") if one.links["workspaces"] & spaces
        }
        seen["external_references"] = {
            one.id
            for one in self.all("external_references")
            if one.links["subject"][1] in seen[one.links["subject"][0]]
        }
        return seen

    def _shares(self, user: Thing) -> set[int]:
        """The users with whom the user shares a workspace."""
        own = {one.links["workspace"] for one in self.all("participations", user=user.id)}
        return {user.id} | {
            one.links["user"] for one in self.all("participations") if one.links["workspace"] in own
        }

    def _took_part(self, seen: dict[str, set[int]]) -> set[int]:
        """The creators and updaters of the objects that the caller sees."""
        found = {
            self.things[kind][one].links.get(name)
            for kind in ("workspaces", "status_reports")
            for one in seen[kind]
            for name in ("creator", "updater")
        }
        return found - {None}

    # -- the records that includes add

    def linked(self, thing: Thing, include: str, sight: Sight) -> set[int]:
        """The ids that an include adds to a record, for a caller who can see the record."""
        if include in BESIDE:
            return BESIDE[include](self, thing, sight)
        name = "space" if thing.kind == "status_reports" and include == "workspace" else include
        return {thing.links[name]} - {None}

    def leader(self, space: Thing, side: str) -> set[int]:
        leads = [self.things["participations"][one] for one in space.links["leads"]]
        return {one.links["user"] for one in leads if one.links["side"] == side}

    def places(self, space: Thing, **links: Any) -> list[Thing]:
        return self.all("participations", workspace=space.id, **links)

    def seen(self, kind: str, sight: Sight, **links: Any) -> set[int]:
        return {one.id for one in self.all(kind, **links)} & sight.may[kind]


# The includes that are not links of the record itself.
BESIDE: dict[str, Callable[[World, Thing, Sight], set[int]]] = {
    "external_references": lambda world, thing, sight: world.seen(
        "external_references", sight, subject=(thing.kind, thing.id)
    ),
    "participants": lambda world, thing, _: {one.links["user"] for one in world.places(thing)},
    "participations": lambda world, thing, _: {one.id for one in world.places(thing)},
    "current_user_participation": lambda world, thing, sight: {
        one.id for one in world.places(thing, user=sight.user)
    },
    "primary_maven": lambda world, thing, _: world.leader(thing, "provider"),
    "primary_counterpart": lambda world, thing, _: world.leader(thing, "client"),
    "workspace_groups": lambda world, thing, _: {
        one.id for one in world.all("workspace_groups") if thing.id in one.links["workspaces"]
    },
    "workspaces": lambda _, thing, sight: thing.links["workspaces"] & sight.may["workspaces"],
    "account_membership": lambda world, thing, sight: world.seen(
        "account_memberships", sight, user=thing.id
    ),
    "status_reports": lambda world, thing, sight: world.seen(
        "status_reports", sight, space=thing.id
    ),
    "current_status_report": lambda world, thing, sight: world.seen(
        "status_reports", sight, space=thing.id
    ),
    "subject": lambda _, thing, __: {thing.links["subject"][1]},
}


def markers(things: Iterable[Thing]) -> Iterator[str]:
    for one in things:
        for text in one.texts.values():
            yield from MARKER.findall(text)


# -- plans: small numbers, used modulo the number of objects

index = st.integers(0, 7)
reference_plans = st.lists(st.sampled_from([None, None, 0, 1]), max_size=2)
report_plans = st.fixed_dictionaries(
    {"creator": index, "updater": st.none() | index, "references": reference_plans}
)
space_plans = st.fixed_dictionaries(
    {
        "creator": index,
        "archived": st.sampled_from([False, False, False, True]),
        "shown": st.booleans(),
        "people": st.dictionaries(
            index, st.tuples(st.sampled_from(SIDES), st.sampled_from(PLACES)), max_size=5
        ),
        "reports": st.lists(report_plans, max_size=3),
        "grouped": st.booleans(),
        "references": reference_plans,
    }
)
account_plans = st.fixed_dictionaries(
    {
        "more": st.lists(st.sampled_from(["collaborator", *PERMISSIONS]), max_size=3),
        "disabled": st.lists(index, max_size=2, unique=True),
        "readers": st.lists(index, max_size=2, unique=True),
        "spaces": st.lists(space_plans, min_size=1, max_size=3),
    }
)
world_plans = st.lists(account_plans, min_size=2, max_size=3)


def build(tx: Any, plans: list[dict[str, Any]]) -> World:
    world = World()
    for plan in plans:
        _Builder(tx, world).build(plan)
    return world


class _Builder:
    """Stores one account."""

    def __init__(self, tx: Any, world: World) -> None:
        self.tx = tx
        self.world = world
        self.account = accounts.create_account(tx, word(), now())
        self.users: list[model.User] = []
        self.actors: list[model.Actor] = []

    def build(self, plan: dict[str, Any]) -> None:
        for permission in (*PERMISSIONS, *plan["more"]):
            self._hire(permission)
        for space in plan["spaces"]:
            self._build_space(space)
        for number in plan["readers"]:
            user = self._of(self.users, number)
            secret = tokens.issue(self.tx, user, word(), now(), scopes=frozenset({Scope.READ}))
            self.world.secrets[user.id] = secret
            self.world.things["users"][user.id].links["reads_only"] = True
        # The first user is an administrator and stays enabled.
        for number in plan["disabled"]:
            user = self.users[1 + number % (len(self.users) - 1)]
            members.disable(self.tx, user, now(), disabled=True)
            self.world.things["users"][user.id].links["disabled"] = True

    def _hire(self, permission: str) -> None:
        shared = self.world.addresses[len(self.users) : len(self.users) + 1]
        name, [address] = word(), shared or [f"{word()}@example.org"]
        user = members.create_user(
            self.tx,
            self.account,
            full_name=name,
            email_address=address,
            permission=AccountPermission(permission),
            now=now(),
        )
        self._prove(user)
        secret = tokens.issue(self.tx, user, word(), now())
        self.users.append(user)
        self.world.secrets[user.id] = secret
        # Everybody may create everything here: what people made stays if they lose permissions.
        actor = tokens.authenticate(self.tx, secret, now())
        self.actors.append(replace(actor, permission=AccountPermission.ADMINISTRATOR))
        thing = self.world.add("users", user.id, self.account, permission=permission)
        thing.links |= {"disabled": False, "reads_only": False}
        thing.texts = {"full_name": name, "email_address": address}
        membership_id = membership(self.tx, user.id).id
        self.world.add("account_memberships", membership_id, self.account, user=user.id)

    def _prove(self, user: model.User) -> None:
        """Give the first people of every account the same ways to sign in."""
        if len(self.users) == 0:
            credentials.store_password(self.tx, user.account_id, user.id, "a hash", now())
        elif len(self.users) == 1:
            issuer = "https://issuer.example"
            credentials.insert_identity(self.tx, user.account_id, user.id, issuer, "subject", now())
        else:
            invitations.invite_as_operator(self.tx, user, now())

    def _build_space(self, plan: dict[str, Any]) -> None:
        creator, title, description = self._of(self.users, plan["creator"]), word(), word()
        space = workspaces.make_workspace(self.tx, creator, title, now(), description)
        thing = self.world.add("workspaces", space, self.account, creator=creator.id)
        thing.links |= {"archived": plan["archived"], "shown": plan["shown"], "leads": set()}
        thing.texts = {"title": title, "description": description}
        workspaces.show_to_clients(self.tx, space, now(), shown=plan["shown"])
        for number, (side, permission) in plan["people"].items():
            self._join(space, self._of(self.users, number), side, permission)
        for one in plan["reports"]:
            self._build_report(space, one)
        self._refer(thing, plan["references"])
        if plan["grouped"]:
            self._group()
        workspaces.archive(self.tx, space, now(), archived=plan["archived"])

    def _group(self) -> None:
        """Make a group of this workspace and the previous one, if there is one."""
        name, notes = word(), word()
        ours = [one for one in self.world.all("workspaces") if one.account == self.account][-2:]
        sent = {"name": name, "notes": notes, "add_workspace_ids": [one.id for one in ours]}
        made = groups.create_group(self.tx, self.actors[0], sent, now())
        thing = self.world.add("workspace_groups", made.id, self.account)
        thing.links = {"workspaces": {one.id for one in ours}}
        thing.texts = {"name": name, "notes": notes}

    def _join(self, space: int, user: model.User, side: str, permission: str) -> None:
        if self.world.place(user.id, space) is None:
            rights = ParticipationPermission(permission)
            leads = not self.world.things["workspaces"][space].links["leads"]
            place = workspaces.join(
                self.tx, space, user, rights, now(), side=Side(side), team_lead=leads
            )
            if leads:
                self.world.things["workspaces"][space].links["leads"].add(place.id)
            thing = self.world.add("participations", place.id, self.account, workspace=space)
            thing.links |= {"user": user.id, "side": side}

    def _build_report(self, space: int, plan: dict[str, Any]) -> None:
        creator, description, detail = self._of(self.actors, plan["creator"]), word(), word()
        sent = {
            "workspace_id": space,
            "color": "green",
            "description": description,
            "details": [{"category": "Budget", "color": "red", "description": detail}],
        }
        report = reports.create(self.tx, creator, sent, now()).id
        thing = self.world.add("status_reports", report, self.account, space=space)
        thing.links |= {"creator": creator.user_id, "updater": None, "color": "green"}
        thing.texts = {"description": description, "detail": detail}
        if plan["updater"] is not None:
            updater = self._of(self.actors, plan["updater"])
            reports.change(self.tx, updater, report, {"color": "red"}, now())
            thing.links |= {"updater": updater.user_id, "color": "red"}
        self._refer(thing, plan["references"])

    def _refer(self, subject: Thing, plan: list[int | None]) -> None:
        for number in plan:
            sent = reference(None if number is None else self.world.services[number])
            whole = {**sent, "subject_type": TYPES[subject.kind], "subject_id": subject.id}
            made = references.create_or_update(self.tx, self.actors[0], whole, now()).id
            thing = self.world.add("external_references", made, self.account)
            thing.links["subject"] = (subject.kind, subject.id)
            thing.texts = sent

    def _of(self, values: list[Any], number: int) -> Any:
        return values[number % len(values)]


def reference(service: str | None) -> dict[str, str]:
    return {
        "service_name": service or word(),
        "service_model": service or word(),
        "service_model_ref": word(),
        "external_status": word(),
        "external_message": word(),
        "external_link": f"https://example.org/{word()}",
    }
