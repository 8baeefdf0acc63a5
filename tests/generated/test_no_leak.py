"""No answer contains anything that its caller may not see, for any stored data and any request.

Each example stores random accounts (`sight`), then sends random requests as random people. Each
answer is compared with what the model lets its caller see. A request that names something that the
caller cannot see is repeated with an id or a text that does not exist: both answers must be equal.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sight import (
    COLORS,
    INCLUDES,
    KINDS,
    MARKER,
    NOBODY,
    PERMISSIONS,
    PLACES,
    SIDES,
    SUBJECTS,
    TYPES,
    Sight,
    Thing,
    World,
    build,
    reference,
    word,
    world_plans,
)

from conftest import Server
from effort import effort
from expect import assert_failure
from healthreports.contract.resources import RESOURCES, FilterSpec, FilterType
from healthreports.core.vocabulary import Kind
from healthreports.store.engine.database import Database
from healthreports.store.lists import verify

UNAUTHENTICATED = {"errors": [{"type": "oauth", "message": "Invalid OAuth 2 Request"}]}
STEPS = 30

# -- requests that can be repeated with everything replaced that the caller cannot see


@dataclass(frozen=True)
class Id:
    kind: str
    id: int


@dataclass(frozen=True)
class Text:
    """A stored text."""

    text: str


@dataclass
class Request:
    method: str
    path: tuple[str | Id, ...]
    params: dict[str, Any]
    body: dict[str, Any] | None = None

    def names(self) -> list[Id | Text]:
        return list(_names([*self.path, self.params, self.body]))

    def send(self, http: httpx.Client, secret: str, sight: Sight | None = None) -> httpx.Response:
        """Send the request; with a `sight`, replace everything that is not visible in it."""
        params = {
            name: ",".join(map(str, value)) if isinstance(value, list) else value
            for name, value in _rendered(self.params, sight).items()
        }
        path = "/" + "/".join(map(str, _rendered(list(self.path), sight)))
        return http.request(
            self.method,
            path.replace("/.json", ".json"),
            params=params,
            json=None if self.body is None else _rendered(self.body, sight),
            headers={"authorization": f"Bearer {secret}"},
        )


def is_seen(one: Id | Text, sight: Sight) -> bool:
    if isinstance(one, Id):
        return one.id in sight.may[one.kind]
    return all(found in sight.words for found in MARKER.findall(one.text))


def _names(value: Any) -> list[Id | Text]:
    if isinstance(value, (Id, Text)):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [name for one in value for name in _names(one)] if isinstance(value, list) else []


def _rendered(value: Any, sight: Sight | None) -> Any:
    if isinstance(value, dict):
        return {name: _rendered(one, sight) for name, one in value.items()}
    if isinstance(value, list):
        return [_rendered(one, sight) for one in value]
    if isinstance(value, Id):
        return value.id if sight is None or is_seen(value, sight) else NOBODY
    if isinstance(value, Text):
        is_shown = sight is None or is_seen(value, sight)
        return value.text if is_shown else MARKER.sub(lambda _: word(), value.text)
    return value


# -- rules for every answer

LINKS = {
    "workspace_id": "workspaces",
    "creator_id": "users",
    "updater_id": "users",
    "user_id": "users",
    "participant_ids": "users",
    "status_report_ids": "status_reports",
    "current_status_report_id": "status_reports",
    "external_reference_ids": "external_references",
    "participation_ids": "participations",
    "current_user_participation_id": "participations",
    "primary_maven_id": "users",
    "primary_counterpart_id": "users",
    "workspace_group_ids": "workspace_groups",
    "workspace_ids": "workspaces",
    "account_membership_id": "account_memberships",
}


def assert_keeps_secrets(response: httpx.Response, user: Thing, sight: Sight) -> None:
    """Check that headers and body have no marker and no id that the caller may not see."""
    heard = set(MARKER.findall(response.text + repr(response.headers.raw)))
    assert heard <= sight.words, heard - sight.words
    assert "hr_" not in response.text
    if response.status_code != 200:
        assert response.status_code == 204 or list(response.json()) == ["errors"]
        return
    body = response.json()
    for kind in set(body) - {"count", "results", "meta"}:
        for one, record in body[kind].items():
            assert record["id"] == one
            assert int(one) in sight.may[kind], (kind, one)
            for target, linked in links_of(record, user):
                assert linked in sight.may[target], (kind, one, target, linked)


def links_of(record: dict[str, Any], user: Thing) -> list[tuple[str, int]]:
    found = []
    for name, value in record.items():
        if name == "account_id":
            assert value == user.account
        elif name == "subject_id":
            found.append((SUBJECTS[record["subject_type"]], value))
        elif name == "subject_ref":
            found.append((value["key"], int(value["id"])))
        elif re.search("_ids?$", name) and value is not None:
            ids = value if isinstance(value, list) else [value]
            found += [(LINKS[name], int(one)) for one in ids]
    return found


def assert_same(response: httpx.Response, other: httpx.Response) -> None:
    """Check that the two answers are indistinguishable."""
    assert response.status_code == other.status_code, (response.text, other.text)
    assert response.content == other.content, (response.text, other.text)
    heads = [
        {name: one for name, one in answer.headers.items() if name not in PASSING}
        for answer in (response, other)
    ]
    assert heads[0] == heads[1]


# The ETag of a list reveals only how often the account has changed (8.1).
PASSING = {"date", "etag", "x-request-id", "x-runtime"}


def assert_beside(
    world: World, kind: str, body: dict[str, Any], include: str, sight: Sight
) -> None:
    """Check that the answer includes what was requested for its records, and no more."""
    shown = [world.things[kind][int(one["id"])] for one in body["results"]]
    must: dict[str, set[int]] = {}
    for name in include.split(","):
        if name not in INCLUDES[kind]:
            continue
        target = INCLUDES[kind][name]
        for one in shown:
            where = target or one.links["subject"][0]
            found = world.linked(one, name, sight)
            assert name == "current_status_report" or found <= sight.may[where]
            must.setdefault(where, set()).update(found)
        if target:
            must.setdefault(target, set())
    beside = set(body) - {"count", "results", "meta", kind}
    if "subject" in include.split(","):
        assert beside <= set(SUBJECTS.values())
    else:
        assert beside == set(must) - {kind}
    for target in beside:
        ids = set(map(int, body[target]))
        assert ids <= must.get(target, set())
        if "current_status_report" not in include:
            assert ids == must.get(target, set())
    assert set(body[kind]) == {one["id"] for one in body["results"]}


# -- lists

EVER = {"after": ["2001-01-01", "2200-01-01"], "before": ["2001-01-01", "2200-01-01"]}
# Every filter, except those that the list requires.
FILTERS = {
    str(kind): {one.name: one for one in resource.filters if not one.required}
    for kind, resource in RESOURCES.items()
}
# The kind of record to which the ids of a filter belong.
OF_KIND = {
    **dict.fromkeys(
        ("workspace_id", "except", "participant_in", "not_participant_in"), "workspaces"
    ),
    **dict.fromkeys(("has_participant", "user_not_participating", "creator"), "users"),
    **dict.fromkeys(("provider_lead", "with_users", "without_users", "by_user"), "users"),
    **dict.fromkeys(("by_user_id", "user_id", "creator_id"), "users"),
    "workspace_groups": "workspace_groups",
}
WINDOWS = (
    {},
    {},
    {"per_page": 200},
    {"per_page": 1, "page": 2},
    {"per_page": 2, "page": 99},
    {"limit": 200, "offset": 0},
    {"limit": 1, "offset": 1},
)
WAYS = ("asc", "desc")
OPTIONAL = "account_id,email_address,creator, clients_see_status_reports,description,disabled_at"


def has_words(texts: Iterable[str], value: Any) -> bool:
    """Whether each searched word is a prefix of a word in the texts.

    A marker is one word, an address two or three.
    """
    there = [word for text in texts for word in re.findall("[a-z0-9]+", text.lower())]
    wanted = re.findall("[a-z0-9]+", plain(value).lower())
    return bool(wanted) and all(any(one.startswith(w) for one in there) for w in wanted)


def users_of(world: World, space: int) -> set[int]:
    return {one.links["user"] for one in world.all("participations", workspace=space)}


def name_of(world: World, thing: Thing) -> str:
    user = thing if thing.kind == "users" else world.things["users"][thing.links["user"]]
    return user.texts["full_name"]


def newest(world: World, space: int) -> int:
    return max(one.id for one in world.all("status_reports", space=space))


def ids_in(value: Any) -> set[int]:
    return {one.id for one in (value if isinstance(value, list) else [value])}


class Asked(NamedTuple):
    """A question: whether a record passes a filter with this value, for a caller's sight."""

    world: World
    thing: Thing
    sight: Sight
    value: Any


def takes_part(asked: Asked) -> bool:
    """Whether the user is in one of these workspaces, of which only visible ones count."""
    seen = ids_in(asked.value) & asked.sight.may["workspaces"]
    return any(asked.thing.id in users_of(asked.world, space) for space in seen)


# The model of each filter, by name or by kind and name.
READINGS: dict[Any, Callable[["Asked"], bool]] = {
    "include_archived": lambda _: True,  # `is_left_out` handles it
    "archived": lambda a: a.value == "include" or a.thing.links["archived"] == (a.value == "only"),
    "on_my_account": lambda _: True,
    "show_disabled": lambda _: True,
    "only_active": lambda _: True,
    "only_inactive": lambda a: (
        a.value == "false" or a.world.things["users"][a.thing.links["user"]].links["disabled"]
    ),
    "has_participant": lambda a: bool(users_of(a.world, a.thing.id) & ids_in(a.value)),
    "user_not_participating": lambda a: not users_of(a.world, a.thing.id) & ids_in(a.value),
    "has_participation": lambda a: (
        (a.sight.user in users_of(a.world, a.thing.id)) == (a.value == "true")
    ),
    "except": lambda a: a.thing.id not in ids_in(a.value),
    "creator": lambda a: a.thing.links["creator"] in ids_in(a.value),
    "creator_id": lambda a: a.thing.links["creator"] in ids_in(a.value),
    "provider_lead": lambda a: bool(
        a.world.linked(a.thing, "primary_maven", a.sight) & ids_in(a.value)
    ),
    "workspace_groups": lambda a: bool(
        a.world.linked(a.thing, "workspace_groups", a.sight) & ids_in(a.value)
    ),
    ("workspaces", "matching"): lambda a: has_words([a.thing.texts["title"]], a.value),
    ("workspaces", "search"): lambda a: has_words(
        [*a.thing.texts.values(), str(a.thing.id)], a.value
    ),
    ("users", "matching"): lambda a: has_parts(a.thing.texts.values(), a.value),
    ("users", "search"): lambda a: has_parts(a.thing.texts.values(), a.value),
    ("workspace_groups", "matching"): lambda a: has_words([a.thing.texts["name"]], a.value),
    "by_email_address": lambda a: a.thing.texts["email_address"] == plain(a.value),
    "by_email_addresses": lambda a: a.thing.texts["email_address"] in map(plain, a.value),
    "by_full_name": lambda a: plain(a.value) in name_of(a.world, a.thing),
    "participant_in": takes_part,
    "not_participant_in": lambda a: not takes_part(a),
    "with_users": lambda a: a.thing.id in ids_in(a.value),
    "without_users": lambda a: a.thing.id not in ids_in(a.value),
    "by_user": lambda a: a.thing.links["user"] in ids_in(a.value),
    "by_user_id": lambda a: a.thing.links["user"] in ids_in(a.value),
    "user_id": lambda a: a.thing.links["user"] in ids_in(a.value),
    "workspace_id": lambda a: (
        a.thing.links["space" if a.thing.kind == "status_reports" else "workspace"]
        in ids_in(a.value)
    ),
    "mavens_only": lambda a: a.value == "false" or a.thing.links["side"] == "provider",
    "companies_only": lambda a: a.value == "false",
    "subject_id": lambda a: a.thing.links["subject"][1] in ids_in(a.value),
    "color": lambda a: a.thing.links["color"] in a.value.split(","),
    "category_color": lambda a: a.value == "Budget:red" and "detail" in a.thing.texts,
    "current": lambda a: (
        (newest(a.world, a.thing.links["space"]) == a.thing.id) == (a.value == "true")
    ),
    "text": lambda a: has_words(a.thing.texts.values(), a.value),
}


def has_parts(texts: Iterable[str], value: Any) -> bool:
    """Whether each searched word is a substring of one of the texts."""
    wanted = re.findall("[a-z0-9]+", plain(value).lower())
    return bool(wanted) and all(any(w in text for text in texts) for w in wanted)


def is_kept(world: World, thing: Thing, name: str, value: Any, sight: Sight) -> bool:
    """Whether a record passes one filter, by the model."""
    if name.endswith(("_date_after", "_date_before")):
        return False  # no workspace here has a date
    if name.endswith(("_after", "_before")):
        return name.endswith("_after") == (value < "2100")
    reading = READINGS.get((thing.kind, name)) or READINGS.get(name)
    if reading is not None:
        return reading(Asked(world, thing, sight, value))
    if thing.kind == "external_references":
        return reads(thing, name) == plain(value)
    own = world.all("external_references", subject=(thing.kind, thing.id))
    if name == "has_external_references":
        return bool(own) == (value == "true")
    assert name == "without_external_reference_service_name"
    return all(reads(one, "service_name") != plain(value) for one in own)


def reads(thing: Thing, name: str) -> str:
    return thing.texts.get(name, "successful") if name == "status" else thing.texts[name]


def plain(value: Any) -> Any:
    return value.text if isinstance(value, Text) else value


def has_reference(world: World, thing: Thing, params: dict[str, Any]) -> bool:
    """Whether a single reference matches all filters by external reference."""
    wanted = {
        name.removeprefix("external_reference_"): value
        for name, value in params.items()
        if name.startswith("external_reference_")
    }
    refs = wanted.pop("service_model_refs", None)
    return not (wanted or refs) or any(
        all(reads(one, name) == plain(value) for name, value in wanted.items())
        and (refs is None or reads(one, "service_model_ref") in map(plain, refs))
        for one in world.all("external_references", subject=(thing.kind, thing.id))
    )


def matching(
    world: World, kind: str, params: dict[str, Any], ids: set[int], sight: Sight
) -> set[int]:
    read = {
        name: value
        for name, value in params.items()
        if name in FILTERS[kind] or name.endswith(("_after", "_before"))
    }
    beside = {n: read.pop(n) for n in [*read] if n.startswith("external_reference_")}
    if "only" in params:
        ids = ids & {one.id for one in params["only"]}
    return {
        thing.id
        for thing in (world.things[kind][one] for one in ids)
        if all(is_kept(world, thing, name, value, sight) for name, value in read.items())
        and has_reference(world, thing, beside)
        and not is_left_out(world, thing, params)
        and (
            kind != "external_references"
            or thing.links["subject"][0] == SUBJECTS[params["subject_type"]]
        )
    }


def is_left_out(world: World, thing: Thing, params: dict[str, Any]) -> bool:
    """Whether a default filter excludes the record."""
    if thing.kind == "workspaces":
        sent = params.get("include_archived") == "true" or "archived" in params
        return thing.links["archived"] and not sent
    if thing.kind == "users":
        return thing.links["disabled"] and params.get("show_disabled") != "true"
    if thing.kind == "account_memberships":
        sent = params.get("only_active") == "false" or "only_inactive" in params
        disabled = world.things["users"][thing.links["user"]].links["disabled"]
        if params.get("only_active") == "true":
            return disabled
        return disabled and not sent
    return False


def rows(params: dict[str, Any], count: int) -> tuple[int, int]:
    """How many rows the answer has, and the size of a page."""
    size = params.get("per_page", 20)
    if "only" in params:
        return count, size
    if "limit" in params:
        return max(0, min(params["limit"], count - params["offset"])), size
    return max(0, min(size, count - size * (params.get("page", 1) - 1))), size


def assert_list(
    world: World, kind: str, params: dict[str, Any], response: httpx.Response, sight: Sight
) -> None:
    assert response.status_code == 200, response.text
    body = response.json()
    least, most = (
        matching(world, kind, params, one[kind], sight) for one in (sight.must, sight.may)
    )
    count, size = body["count"], rows(params, 0)[1]
    assert len(least) <= count <= len(most), (count, least, most)
    assert body["meta"]["count"] == count
    assert body["meta"]["page_count"] == -(-count // size)
    ids = [int(one["id"]) for one in body["results"]]
    assert set(ids) <= most
    assert len(ids) == len(set(ids)) == rows(params, count)[0]
    if len(ids) == count:
        assert least <= set(ids)
    assert_beside(world, kind, body, params.get("include", ""), sight)


# -- one example: a world, callers, and their requests


# The texts with which a filter by words is mostly used.
WORDS_OF = {"by_full_name": "full_name", "search": "email_address", "text": "description"}


class Talk:
    def __init__(self, data: st.DataObject, http: httpx.Client, world: World) -> None:
        self.data = data
        self.http = http
        self.world = world
        self.user = next(iter(world.things["users"].values()))

    def step(self) -> None:
        users = [one for one in self.world.all("users") if one.id in self.world.secrets]
        able = [one for one in users if not one.links["disabled"] and not one.links["reads_only"]]
        self.user = self.pick("caller", [*users, *able, *able])
        self.pick("what is asked", ASKED)(self)

    # -- random values

    def pick(self, label: str, values: Any) -> Any:
        return self.data.draw(st.sampled_from(values), label=label)

    def some(self, label: str, values: Any, most: int = 3) -> list[Any]:
        if not values:
            return []
        drawn = st.lists(st.sampled_from(values), max_size=most, unique=True)
        return self.data.draw(drawn, label=label)

    def ids(self, kind: str) -> list[Id]:
        """Ids of a kind, with those of the caller's account repeated to make them likelier."""
        every = self.world.all(kind)
        own = [one for one in every if one.account == self.user.account]
        return [Id(kind, one.id) for one in (*own, *own, *own, *every)] or [Id(kind, NOBODY)]

    def id(self, kind: str) -> Id:
        return self.pick(kind, self.ids(kind))

    def text(self, name: str) -> Text:
        """A stored text, mostly one of that name."""
        every = [one for kind in KINDS for one in self.world.all(kind)]
        fitting = [one for one in every if name in one.texts]
        own = [one for one in fitting if one.account == self.user.account]
        others = [
            text for kind in KINDS for one in self.world.all(kind) for text in one.texts.values()
        ]
        near = [one.texts[name] for one in (*own, *own, *own, *fitting)]
        return Text(self.pick(name, self.pick("whose", [near, near, near, others]) or others))

    def include(self, kind: str) -> str:
        names = [*INCLUDES[kind], "nobody", "account"]
        return ",".join(self.some("include", names, most=4))

    # -- requests

    def ask(self, request: Request, refusal: int = 401) -> httpx.Response | None:
        """Send a request and check that the answer reveals nothing.

        Returns the answer, or None if the caller's token does not work.
        """
        world, secret = self.world, self.world.secrets[self.user.id]
        sight = world.sight(self.user)
        response = request.send(self.http, secret)
        if self.user.links["disabled"]:
            assert response.status_code == refusal
            assert refusal != 401 or response.json() == UNAUTHENTICATED
            assert not MARKER.search(response.text + repr(response.headers.raw))
            return None
        if not all(is_seen(one, sight) for one in request.names()):
            assert_same(response, request.send(self.http, secret, sight))
        if response.status_code != 200 or request.method == "GET":
            assert_keeps_secrets(response, self.user, sight)
        return response

    def path(self, *parts: str | Id) -> tuple[str | Id, ...]:
        return (*parts, *self.pick("ending", [(), (), (".json",)]))

    def list(self) -> None:
        kind = self.pick("kind", (*KINDS, "status_reports", "external_references"))
        params = self.list_params(kind)
        response = self.ask(Request("GET", self.path(kind), params))
        if response is not None:
            assert_list(self.world, kind, params, response, self.world.sight(self.user))

    def list_params(self, kind: str) -> dict[str, Any]:
        params: dict[str, Any] = {**self.pick("window", WINDOWS)}
        if kind == "external_references":
            params["subject_type"] = self.pick("subject type", [*SUBJECTS])
        for name in self.some("filters", [*FILTERS[kind]], most=2):
            params[name] = self.filter_value(FILTERS[kind][name])
        more = self.some("more", ["only", "include", "order", "optional_fields"])
        if "only" in more:
            params["only"] = self.some("ids", self.ids(kind)) or [Id(kind, NOBODY)]
        if "include" in more:
            params["include"] = self.include(kind)
        if "order" in more:
            sorts = RESOURCES[Kind(kind)].sorts
            params["order"] = f"{self.pick('order', [*sorts, 'nobody'])}:{self.pick('way', WAYS)}"
        if "optional_fields" in more:
            params["optional_fields"] = OPTIONAL
        return params

    def filter_value(self, one: FilterSpec) -> Any:
        """A value of the filter's type: a stored one, mostly of the caller's account."""
        if one.choices:
            return self.pick(one.name, one.choices)
        draw = VALUES.get(one.type)
        if draw is None:
            return self.text(one.name.partition("external_reference_")[2] or one.name)
        return draw(self, one)

    def some_of_kind(self, one: FilterSpec) -> Any:
        kind = OF_KIND.get(one.name) or self.pick("kind", [*SUBJECTS.values()])
        return self.some(one.name, self.ids(kind)) or [self.id(kind)]

    def show(self) -> None:
        kind = self.pick("kind", [kind for kind in KINDS if kind != "external_references"])
        one, include = self.id(kind), self.include(kind)
        params = {"include": include, "optional_fields": OPTIONAL}
        for name, value in (("include_archived", "true"), ("show_disabled", "true")):
            params[name] = self.pick(name, [value, value, "false"])
        params["only_active"] = self.pick("only active", ["false", "false", "true"])
        response = self.ask(Request("GET", self.path(kind, one), params))
        if response is None:
            return
        sight = self.world.sight(self.user)
        if one.id not in sight.may[kind] or is_left_out(
            self.world, self.world.things[kind][one.id], params
        ):
            assert_failure(response, 404)
        elif response.status_code == 404:
            assert one.id not in sight.must[kind]
        else:
            self.assert_one(response, kind, one.id, include)

    def assert_one(self, response: httpx.Response, kind: str, one: int, include: str) -> None:
        assert response.status_code == 200, response.text
        body = response.json()
        assert body["results"] == [{"key": kind, "id": str(one)}]
        assert body["count"] == body["meta"]["count"] == 1
        assert_beside(self.world, kind, body, include, self.world.sight(self.user))

    def show_me(self) -> None:
        response = self.ask(Request("GET", self.path("users", "me"), {}))
        if response is not None:
            self.assert_one(response, "users", self.user.id, "")

    def stray(self) -> None:
        """Request a path without an operation, which reveals nothing."""
        kind, below = self.pick("kind", KINDS), self.pick("below", KINDS)
        one = self.id(kind)
        path = self.pick("path", [(kind, one, below), ("accounts",), ("tokens",)])
        response = self.ask(Request("GET", path, {"include": "creator"}), refusal=404)
        if response is not None:
            assert_failure(response, 404)

    # -- writes, whose results are added to the world

    def write(
        self,
        method: str,
        path: tuple[str | Id, ...],
        root: str,
        sent: dict[str, Any] | None = None,
    ) -> tuple[httpx.Response | None, str]:
        """Try a write. Returns the answer, or None if it was refused, and the include parameter."""
        kind = f"{root}s"
        include = self.include(kind) if method != "DELETE" else ""
        body = None if sent is None else {root: sent}
        request = Request(method, self.path(*path), {"include": include} if include else {}, body)
        if body is not None and self.pick("include in the body", [False, False, True]):
            request.params, body["include"] = {}, include
        is_bad = body is not None and self.pick("fault", [False] * 7 + [True])
        if is_bad:
            self.spoil(body, root)
        response = self.ask(request)
        if response is None:
            return None, include
        sight = self.world.sight(self.user)
        if self.user.links["reads_only"]:
            assert response.status_code in {400, 403}
        elif not all(is_seen(one, sight) for one in request.names()):
            assert response.status_code in {400, 403, 404, 422}
            hidden = [one for one in path if isinstance(one, Id) and not is_seen(one, sight)]
            if hidden and not is_bad:
                assert_failure(response, 404)
        elif response.status_code == 404:
            assert not all(
                one.id in sight.must[one.kind] for one in request.names() if isinstance(one, Id)
            )
        is_done = response.status_code in {200, 204}
        assert not (is_done and is_bad)
        return (response if is_done else None), include

    def spoil(self, body: dict[str, Any], root: str) -> None:
        bad = {
            "status_report": {"color": "blue"},
            "workspace": {"title": " "},
            "participation": {"permission": "boss"},
            "account_membership": {"permission": "boss"},
            "external_reference": {"service_name": ""},
            "workspace_group": {"name": ""},
        }
        if self.pick("without root", [False, True]):
            del body[root]
        else:
            body[root] |= bad[root]

    def done(self, response: httpx.Response, thing: Thing, include: str) -> None:
        """Check the answer of a write whose result is already in the world."""
        assert_keeps_secrets(response, self.user, self.world.sight(self.user))
        self.assert_one(response, thing.kind, thing.id, include)

    def made(self, response: httpx.Response, kind: str, **links: Any) -> Thing:
        (result,) = response.json()["results"]
        return self.world.add(kind, int(result["id"]), self.user.account, **links)

    def create_report(self) -> None:
        space, description = self.id("workspaces"), word()
        color, service = self.pick("color", COLORS), self.pick("service", self.world.services)
        sent = {"workspace_id": space, "color": color, "description": description}
        refers = self.pick("with reference", [False, True])
        texts = reference(service)
        more = {"external_reference": texts} if refers else {}
        answer, include = self.write("POST", ("status_reports",), "status_report", sent | more)
        if answer is None:
            return
        thing = self.made(answer, "status_reports", space=space.id, creator=self.user.id)
        thing.links |= {"updater": None, "color": color}
        thing.texts["description"] = description
        if refers:
            self.adopt_reference(thing, texts)
        self.done(answer, thing, include)

    def adopt_reference(self, report: Thing, texts: dict[str, str]) -> None:
        """Add the external reference that was created with a report to the world."""
        request = Request(
            "GET",
            ("status_reports", Id(report.kind, report.id)),
            {"include": "external_references"},
        )
        body = request.send(self.http, self.world.secrets[self.user.id]).json()
        for one, record in body["external_references"].items():
            if record["service_model_ref"] == texts["service_model_ref"]:
                known = self.world.add("external_references", int(one), report.account)
                known.links["subject"] = (report.kind, report.id)
                known.texts = texts

    def change_report(self) -> None:
        one, description = self.id("status_reports"), word()
        sent = {"description": description}
        path = ("status_reports", one)
        method = self.pick("method", ["PUT", "PATCH"])
        answer, include = self.write(method, path, "status_report", sent)
        if answer is not None:
            thing = self.world.things[one.kind][one.id]
            thing.links["updater"] = self.user.id
            thing.texts["description"] = description
            self.done(answer, thing, include)

    def create_space(self) -> None:
        title = word()
        answer, include = self.write("POST", ("workspaces",), "workspace", {"title": title})
        if answer is None:
            return
        thing = self.made(answer, "workspaces", creator=self.user.id, archived=False, shown=False)
        thing.texts["title"] = title
        # The creator of a workspace becomes its admin: read the id of that participation.
        request = Request("GET", ("participations",), {"workspace_id": str(thing.id)})
        listed = request.send(self.http, self.world.secrets[self.user.id]).json()
        for one, record in listed["participations"].items():
            assert record["user_id"] == str(self.user.id)
            place = self.world.add("participations", int(one), self.user.account)
            place.links = {"workspace": thing.id, "user": self.user.id, "side": record["side"]}
            thing.links["leads"] = {place.id}
        self.done(answer, thing, include)

    def change_space(self) -> None:
        one = self.id("workspaces")
        change = self.pick(
            "change",
            [
                {"archived": True},
                {"archived": False},
                {"clients_see_status_reports": True},
                {"clients_see_status_reports": False},
                {"title": word()},
            ],
        )
        answer, include = self.write("PUT", ("workspaces", one), "workspace", change)
        if answer is not None:
            thing = self.world.things[one.kind][one.id]
            for name, value in change.items():
                if name == "title":
                    thing.texts[name] = value
                else:
                    thing.links["archived" if name == "archived" else "shown"] = value
            self.done(answer, thing, include)

    def join(self) -> None:
        space, user = self.id("workspaces"), self.id("users")
        sent = {"workspace_id": space, "user_id": user, **self.standing()}
        answer, include = self.write("POST", ("participations",), "participation", sent)
        if answer is not None:
            thing = self.made(answer, "participations", workspace=space.id, user=user.id)
            thing.links["side"] = sent["side"]
            self.done(answer, thing, include)

    def standing(self) -> dict[str, str]:
        return {"side": self.pick("side", SIDES), "permission": self.pick("permission", PLACES)}

    def change_participation(self) -> None:
        one, sent = self.id("participations"), self.standing()
        path = ("participations", one)
        before = self.world.sight(self.user)
        answer, include = self.write("PUT", path, "participation", sent)
        if answer is not None:
            thing = self.world.things[one.kind][one.id]
            assert thing.id in before.may[thing.kind]
            thing.links["side"] = sent["side"]
            self.done(answer, thing, include)

    def delete(self) -> None:
        kinds = ["status_reports", "participations", "external_references", "workspace_groups"]
        kind = self.pick("kind", kinds)
        one = self.id(kind)
        answer, _ = self.write("DELETE", (kind, one), kind.removesuffix("s"))
        if answer is not None:
            assert answer.content == b""
            self.world.remove(kind, one.id)

    def hire(self) -> None:
        """Add a member.

        An address is unique within its account. Nobody can find out whether other accounts use it.
        """
        is_taken = self.pick("is taken", [False, True])
        address = self.id("users")
        sent = {"full_name": word(), "email_address": f"{word()}@example.org"}
        if is_taken and address.id in self.world.things["users"]:
            sent["email_address"] = self.world.things["users"][address.id].texts["email_address"]
        is_ours = any(
            one.texts["email_address"] == sent["email_address"] and one.account == self.user.account
            for one in self.world.all("users")
        )
        sent["permission"] = self.pick("permission", PERMISSIONS)
        path = ("account_memberships",)
        answer, include = self.write("POST", path, "account_membership", sent)
        if answer is None:
            return
        assert self.is_administrator()
        assert not is_ours
        (record,) = answer.json()["account_memberships"].values()
        user = self.world.add("users", int(record["user_id"]), self.user.account)
        user.links = {"permission": sent["permission"], "disabled": False, "reads_only": False}
        user.texts = {"full_name": sent["full_name"], "email_address": sent["email_address"]}
        thing = self.made(answer, "account_memberships", user=user.id)
        self.done(answer, thing, include)

    def is_administrator(self) -> bool:
        return self.world.is_administrator(self.user)

    def change_membership(self) -> None:
        one = self.id("account_memberships")
        change = self.pick(
            "change",
            [{"disabled": False}, {"disabled": True}, *({"permission": p} for p in PERMISSIONS)],
        )
        path = ("account_memberships", one)
        answer, include = self.write("PUT", path, "account_membership", change)
        if answer is not None:
            thing = self.world.things[one.kind][one.id]
            user = self.world.things["users"][thing.links["user"]]
            user.links |= change
            self.done(answer, thing, include)

    def refer(self) -> None:
        kind = self.pick("subject type", [*TYPES])
        subject, texts = self.id(kind), reference(self.pick("service", self.world.services))
        sent = {"subject_type": TYPES[kind], "subject_id": subject, **texts}
        path = ("external_references", "create_or_update")
        answer, include = self.write("POST", path, "external_reference", sent)
        if answer is not None:
            thing = self.made(answer, "external_references")
            thing.links["subject"] = (subject.kind, subject.id)
            thing.texts = texts
            self.done(answer, thing, include)

    def create_group(self) -> None:
        space, texts = self.id("workspaces"), {"name": word(), "notes": word()}
        sent = {**texts, "add_workspace_ids": [space]}
        answer, include = self.write("POST", ("workspace_groups",), "workspace_group", sent)
        if answer is not None:
            thing = self.made(answer, "workspace_groups", workspaces={space.id})
            thing.texts = texts
            self.done(answer, thing, include)

    def change_group(self) -> None:
        one, space = self.id("workspace_groups"), self.id("workspaces")
        name = self.pick("way", ["add_workspace_ids", "remove_workspace_ids"])
        path = ("workspace_groups", one)
        before = self.world.sight(self.user)
        answer, _ = self.write("PUT", path, "workspace_group", {name: [space]})
        if answer is not None:
            assert one.id in before.may[one.kind]
            there = self.world.things[one.kind][one.id].links["workspaces"]
            (there.add if name.startswith("add") else there.discard)(space.id)


# How to draw a value for each type of filter except plain text.
VALUES: dict[FilterType, Callable[[Talk, FilterSpec], Any]] = {
    FilterType.TIME: lambda talk, one: talk.pick("when", EVER[one.name.rpartition("_")[2]]),
    FilterType.DATE: lambda talk, one: talk.pick("when", EVER[one.name.rpartition("_")[2]]),
    FilterType.FLAG: lambda talk, one: talk.pick(one.name, ["true", "false"]),
    FilterType.ONLY: lambda talk, one: talk.pick(one.name, ["true", "false"]),
    FilterType.SYNC_STATUS: lambda talk, one: talk.pick(one.name, ["successful", "failed"]),
    FilterType.ID: lambda talk, one: talk.id(OF_KIND[one.name]),
    FilterType.IDS: Talk.some_of_kind,
    FilterType.ADDRESS: lambda talk, _: talk.text("email_address"),
    FilterType.ADDRESSES: lambda talk, _: [talk.text("email_address") for _ in range(2)],
    FilterType.TEXTS: lambda talk, _: [talk.text("service_model_ref") for _ in range(2)],
    FilterType.WORDS: lambda talk, one: talk.text(WORDS_OF.get(one.name, "title")),
}
WRITES = (
    Talk.create_report,
    Talk.change_report,
    Talk.create_space,
    Talk.change_space,
    Talk.join,
    Talk.change_participation,
    Talk.delete,
    Talk.hire,
    Talk.change_membership,
    Talk.refer,
    Talk.create_group,
    Talk.change_group,
)
ASKED = (*[Talk.list] * 9, *[Talk.show] * 5, Talk.show_me, Talk.stray, *WRITES, *WRITES)


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client(None) as client:
        yield client


@effort(6, 1_000)
@given(plans=world_plans, data=st.data())
def test_no_answer_holds_what_its_caller_may_not_see(
    http: httpx.Client, database: Database, plans: list[dict[str, Any]], data: st.DataObject
) -> None:
    talk = Talk(data, http, database.write_here(lambda tx: build(tx, plans)))
    for _ in range(STEPS):
        talk.step()
    # The counts and indexes that the writes maintained match the data.
    assert database.read_here(verify.differences) == []
