"""No answer holds a byte of what its caller may not see, whatever is stored and whatever is asked.

Each example stores random accounts (`sight`), then asks random things as random people. An answer
is held against what the model lets its caller see. A request that names something out of sight is
sent once more with an id or a text that surely nobody has: both answers must be the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
from healthreports.store.engine.database import Database

UNAUTHENTICATED = {"errors": [{"type": "oauth", "message": "Invalid OAuth 2 Request"}]}
STEPS = 30

# -- requests that can be sent once more with what is out of sight taken out


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
        """Without a sight as it is, else with what is out of sight replaced."""
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


# -- what every answer must keep to

LINKS = {
    "workspace_id": "workspaces",
    "creator_id": "users",
    "updater_id": "users",
    "user_id": "users",
    "participant_ids": "users",
    "status_report_ids": "status_reports",
    "current_status_report_id": "status_reports",
    "external_reference_ids": "external_references",
}


def assert_keeps_secrets(response: httpx.Response, user: Thing, sight: Sight) -> None:
    """No word and no id, in head or body, that the caller may not see."""
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
    """Nobody can tell one answer from the other."""
    assert response.status_code == other.status_code, (response.text, other.text)
    assert response.content == other.content, (response.text, other.text)
    heads = [
        {name: one for name, one in answer.headers.items() if name not in PASSING}
        for answer in (response, other)
    ]
    assert heads[0] == heads[1]


PASSING = {"date", "x-request-id", "x-runtime"}


def assert_beside(
    world: World, kind: str, body: dict[str, Any], include: str, sight: Sight
) -> None:
    """Side by side with the records stands what was asked for and belongs to them, no more."""
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
MOMENTS = {
    "status_reports": ("created", "updated"),
    "workspaces": ("created", "updated"),
    "external_references": ("created", "last_synced"),
}
TEXTS = ("service_name", "service_model", "service_model_ref", "external_status")
REFERENCE_FILTERS = (*TEXTS, "external_message", "status")
FILTERS = {
    "status_reports": (
        "workspace_id",
        "has_external_references",
        *(f"external_reference_{name}" for name in REFERENCE_FILTERS),
        "external_reference_service_model_refs",
        "without_external_reference_service_name",
    ),
    "workspaces": ("include_archived", "include_archived"),
    "users": (),
    "participations": ("workspace_id", "user_id"),
    "account_memberships": ("user_id",),
    "external_references": REFERENCE_FILTERS,
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
ORDERS = ("id:desc", "created_at:desc", "updated_at:asc", "title:desc", "full_name:desc", "nobody")
OPTIONAL = "account_id,email_address,creator, clients_see_status_reports,description,disabled_at"


def is_kept(world: World, thing: Thing, name: str, value: Any) -> bool:
    """The model's reading of one filter."""
    if name.endswith(("_after", "_before")):
        return name.endswith("_after") == (value < "2100")
    if name == "include_archived":
        return True
    if name in {"workspace_id", "user_id"}:
        link = "space" if thing.kind == "status_reports" else name.removesuffix("_id")
        return thing.links[link] in {one.id for one in value}
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
    """One and the same reference fits all the filters that speak of one."""
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


def matching(world: World, kind: str, params: dict[str, Any], ids: set[int]) -> set[int]:
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
        if all(is_kept(world, thing, name, value) for name, value in read.items())
        and has_reference(world, thing, beside)
        and (kind != "workspaces" or shows_archived(params) or not thing.links["archived"])
        and (
            kind != "external_references"
            or thing.links["subject"][0] == SUBJECTS[params["subject_type"]]
        )
    }


def shows_archived(params: dict[str, Any]) -> bool:
    return params.get("include_archived") == "true"


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
    least, most = (matching(world, kind, params, one[kind]) for one in (sight.must, sight.may))
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


# -- one example: a world, somebody, and what is asked


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

    # -- draws

    def pick(self, label: str, values: Any) -> Any:
        return self.data.draw(st.sampled_from(values), label=label)

    def some(self, label: str, values: Any, most: int = 3) -> list[Any]:
        if not values:
            return []
        drawn = st.lists(st.sampled_from(values), max_size=most, unique=True)
        return self.data.draw(drawn, label=label)

    def ids(self, kind: str) -> list[Id]:
        """Those of the caller's account more often than others."""
        every = self.world.all(kind)
        own = [one for one in every if one.account == self.user.account]
        return [Id(kind, one.id) for one in (*own, *own, *own, *every)] or [Id(kind, NOBODY)]

    def id(self, kind: str) -> Id:
        return self.pick(kind, self.ids(kind))

    def text(self, name: str) -> Text:
        """A text of that name, or any other that somebody stored."""
        fitting = [one for one in self.world.all("external_references") if name in one.texts]
        own = [one for one in fitting if one.account == self.user.account]
        others = [
            text for kind in KINDS for one in self.world.all(kind) for text in one.texts.values()
        ]
        near = [one.texts[name] for one in (*own, *own, *own, *fitting)]
        return Text(self.pick(name, self.pick("whose", [near, near, near, others]) or others))

    def include(self, kind: str) -> str:
        names = [*INCLUDES[kind], "nobody", "account"]
        return ",".join(self.some("include", names, most=4))

    # -- asking

    def ask(self, request: Request, refusal: int = 401) -> httpx.Response | None:
        """The answer, proven to keep secrets; None when the caller's token does not work."""
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
        for name in self.some("filters", FILTERS[kind] and sorted({*FILTERS[kind]}), most=2):
            params[name] = self.filter_value(name)
        if kind in MOMENTS and self.pick("moment", [False] * 4 + [True]):
            name = self.pick("which", MOMENTS[kind])
            way = self.pick("way", [*EVER])
            params[f"{name}_{way}"] = self.pick("when", EVER[way])
        more = self.some("more", ["only", "include", "order", "optional_fields", "search"])
        if "only" in more:
            params["only"] = self.some("ids", self.ids(kind)) or [Id(kind, NOBODY)]
        if "include" in more:
            params["include"] = self.include(kind)
        if "order" in more:
            params["order"] = self.pick("order", ORDERS)
        if "optional_fields" in more:
            params["optional_fields"] = OPTIONAL
        if "search" in more:
            params["search"] = self.text("title")
        return params

    def filter_value(self, name: str) -> Any:
        if name in {"has_external_references", "include_archived"}:
            return self.pick(name, ["true", "false"])
        if name in {"workspace_id", "user_id"}:
            kind = "users" if name == "user_id" else "workspaces"
            return self.some(name, self.ids(kind)) or [self.id(kind)]
        if name.endswith("status") and not name.endswith("external_status"):
            return self.pick(name, ["successful", "failed"])
        if name.endswith("refs"):
            return [self.text("service_model_ref"), self.text("service_model_ref")]
        return self.text(name.partition("external_reference_")[2] or name)

    def show(self) -> None:
        kind = self.pick("kind", KINDS[:-1])
        one, include = self.id(kind), self.include(kind)
        archived = self.pick("include archived", ["true", "true", "false"])
        params = {"include": include, "include_archived": archived, "optional_fields": OPTIONAL}
        response = self.ask(Request("GET", self.path(kind, one), params))
        if response is None:
            return
        sight = self.world.sight(self.user)
        is_left_out = (
            kind == "workspaces"
            and not shows_archived(params)
            and one.id in sight.may[kind]
            and self.world.things[kind][one.id].links["archived"]
        )
        if one.id not in sight.may[kind] or is_left_out:
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
        """Where no call is declared, nothing is said."""
        kind, below = self.pick("kind", KINDS), self.pick("below", KINDS)
        one = self.id(kind)
        path = self.pick("path", [(kind, one, below), ("accounts",), ("tokens",)])
        response = self.ask(Request("GET", path, {"include": "creator"}), refusal=404)
        if response is not None:
            assert_failure(response, 404)

    # -- writes: what comes of them, the world remembers

    def write(
        self,
        method: str,
        path: tuple[str | Id, ...],
        root: str,
        sent: dict[str, Any] | None = None,
    ) -> tuple[httpx.Response | None, str]:
        """The answer, if the write was done, and what was included."""
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
        }
        if self.pick("without root", [False, True]):
            del body[root]
        else:
            body[root] |= bad[root]

    def done(self, response: httpx.Response, thing: Thing, include: str) -> None:
        """Hold the answer of a write that the world remembers by now."""
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
        thing.links["updater"] = None
        thing.texts["description"] = description
        if refers:
            self.adopt_reference(thing, texts)
        self.done(answer, thing, include)

    def adopt_reference(self, report: Thing, texts: dict[str, str]) -> None:
        """Learn the id of a reference that came with a report."""
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
        # Whoever creates a workspace becomes an admin of it: learn the participation's id.
        request = Request("GET", ("participations",), {"workspace_id": str(thing.id)})
        listed = request.send(self.http, self.world.secrets[self.user.id]).json()
        for one, record in listed["participations"].items():
            assert record["user_id"] == str(self.user.id)
            place = self.world.add("participations", int(one), self.user.account)
            place.links = {"workspace": thing.id, "user": self.user.id, "side": record["side"]}
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
        kind = self.pick("kind", ["status_reports", "participations", "external_references"])
        one = self.id(kind)
        answer, _ = self.write("DELETE", (kind, one), kind.removesuffix("s"))
        if answer is not None:
            assert answer.content == b""
            self.world.remove(kind, one.id)

    def hire(self) -> None:
        """An address is one user's in its account; that other accounts know it nobody learns."""
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
)
ASKED = (*[Talk.list] * 9, *[Talk.show] * 5, Talk.show_me, Talk.stray, *WRITES, *WRITES)


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client(None) as client:
        yield client


@effort(80, 1_000)
@given(plans=world_plans, data=st.data())
def test_no_answer_holds_what_its_caller_may_not_see(
    http: httpx.Client, database: Database, plans: list[dict[str, Any]], data: st.DataObject
) -> None:
    talk = Talk(data, http, database.write_here(lambda tx: build(tx, plans)))
    for _ in range(STEPS):
        talk.step()
