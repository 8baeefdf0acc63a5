"""Lists with every declared filter, order and include, alone and in pairs, and data for them.

The cases come from the declarations of all kinds, so a new filter is tested automatically.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

from filling import NUMBERS, Run, filled

from healthreports.contract.resources import RESOURCES, FilterSpec, FilterType
from healthreports.core.access import Reach
from healthreports.core.query import Filter, Query, Sort
from healthreports.core.vocabulary import Kind
from healthreports.store.engine.database import Version
from healthreports.store.lists.bounds import Caller
from healthreports.store.schema.upgrade import is_server

FEW, MANY = 400, 6_000  # workspaces; a quarter as many users
EACH = 2  # reports of a workspace
T0, DAY = 1_700_000_000_000_000, 86_400_000_000
SPAN = 200 * DAY  # between the first record and the last, if there are very many
# Users who participate in 20 workspaces, and in more than are searched one by one.
IN_FEW, IN_MOST = 2, 3
WHO = {
    Caller.ADMINISTRATOR: Reach(1, None),
    Caller.IN_FEW: Reach(1, IN_FEW),
    Caller.IN_MANY: Reach(1, IN_MOST),
}
NO_VERSION = Version(0, 0)
FILL = (
    "INSERT INTO accounts (id, title, name, created_at) VALUES (1, 'A', 'a', 0)",
    "INSERT INTO account_versions (account_id, version, reshaped) VALUES (1, 0, 0)",
    f"""INSERT INTO users (id, account_id, full_name, name_key, email_address, disabled, created_at,
      updated_at)
    {{numbers}} SELECT i, 1, 'User ' || i, 'user ' || i, 'u' || i || '@example.org',
      CASE WHEN i % 10 = 9 THEN 1 ELSE 0 END, {T0} + i * {{day}}, {T0} + i * {{day}}
    FROM n WHERE i <= {{size}} / 4""",
    f"""INSERT INTO account_memberships (id, account_id, user_id, permission, created_at,
      updated_at, disabled_at)
    {{numbers}} SELECT i, 1, i, 'collaborator', {T0} + i * {{day}}, {T0} + i * {{day}},
      CASE WHEN i % 10 = 9 THEN {T0} ELSE NULL END FROM n WHERE i <= {{size}} / 4""",
    f"""INSERT INTO workspaces (account_id, id, creator_id, title, title_key, archived,
      access_level, clients_see_status_reports, start_date, due_date, created_at, updated_at)
    {{numbers}} SELECT 1, i, CASE WHEN i % 50 = 0 THEN 5 ELSE 1 END, 'Space ' || i, 'space ' || i,
      CASE WHEN i % 10 = 9 THEN 1 ELSE 0 END, 'invitation', 1,
      CASE WHEN i % 3 = 0 THEN '2026-01-' || (10 + i % 20) ELSE NULL END,
      CASE WHEN i % 3 = 1 THEN '2026-03-' || (10 + i % 20) ELSE NULL END,
      {T0} + i * {{day}}, {T0} + i * {{day}} FROM n WHERE i <= {{size}}""",
    f"""INSERT INTO participations (account_id, id, workspace_id, user_id, side, permission,
      team_lead, user_name_key, created_at, updated_at)
    {{numbers}} SELECT 1, i, i, 10 + i % {{people}}, 'provider', 'edit', 1,
      'user ' || (10 + i % {{people}}), {T0} + i * {{day}}, {T0} + i * {{day}}
    FROM n WHERE i <= {{size}}""",
    f"""INSERT INTO participations (account_id, id, workspace_id, user_id, side, permission,
      team_lead, user_name_key, created_at, updated_at)
    {{numbers}} SELECT 1, {{size}} + i, i * {{size}} / {{most}}, {IN_MOST}, 'client', 'view', 0,
      'user 3', {T0} + i * {{day}}, {T0} + i * {{day}} FROM n WHERE i <= {{most}}""",
    f"""INSERT INTO participations (account_id, id, workspace_id, user_id, side, permission,
      team_lead, user_name_key, created_at, updated_at)
    {{numbers}} SELECT 1, 2 * {{size}} + i, i * {{size}} / 20, {IN_FEW}, 'provider', 'edit', 0,
      'user 2', {T0} + i * {{day}}, {T0} + i * {{day}} FROM n WHERE i <= 20""",
    f"""INSERT INTO status_reports (account_id, id, workspace_id, creator_id, color, description,
      budget_color, created_at, updated_at)
    {{numbers}} SELECT 1, i, 1 + i % {{size}}, CASE WHEN i % 50 = 0 THEN 5 ELSE 1 END,
      CASE WHEN i % 20 = 0 THEN 'red' ELSE 'green' END, 'Report ' || i,
      CASE WHEN i % 20 = 1 THEN 'red' ELSE 'green' END, {T0} + i * {{day}} / {{each}},
      {T0} + i * {{day}} / {{each}} FROM n WHERE i <= {{each}} * {{size}}""",
    *(
        f"""INSERT INTO external_references (account_id, id, workspace_id, subject_type, subject_id,
          service_name, service_model, service_model_ref, status, external_status,
          external_message, created_at, updated_at, last_synced_at)
        {{numbers}} SELECT 1, {first} * {{size}} + i, {space}, '{kind}', {subject},
          CASE WHEN i % 10 = 0 THEN 'ledger' ELSE 'tracker' END, 'issue', 'REF-' || i,
          CASE WHEN i % 10 = 5 THEN 'failed' ELSE 'successful' END, 'open', 'Done.',
          {moment}, {moment}, {moment} FROM n WHERE i <= {number}"""
        for first, kind, space, subject, moment, number in (
            (0, "Workspace", "i", "i", f"{T0} + i * {{day}}", "{size}"),
            (
                1,
                "StatusReport",
                "1 + {step} * i % {size}",
                "{step} * i",
                f"{T0} + {{step}} * i * {{day}} / {{each}}",
                "{each} * {size} / {step}",
            ),
        )
    ),
    f"""INSERT INTO workspace_groups (account_id, id, name, name_key, company, created_at,
      updated_at)
    {{numbers}} SELECT 1, i, 'Group ' || i, 'group ' || i, i % 2, {T0} + i * {{day}},
      {T0} + i * {{day}} FROM n WHERE i <= {{size}} / 20""",
    """INSERT INTO group_workspaces (account_id, group_id, workspace_id)
    {numbers} SELECT 1, 1 + i % ({size} / 20), i FROM n WHERE i <= {size}""",
)


def fill(run: Run, size: int, each: int, *, on_server: bool) -> None:
    """Fill an account with `size` workspaces of `each` reports, and the rest in proportion."""
    values = {
        "numbers": NUMBERS[on_server].format(last=each * size),
        "size": size,
        "each": each,
        "step": max(each // 10, 2),  # one in so many reports has an external reference
        "day": DAY if each == EACH else SPAN // size,
        "most": min(300, size),
        "people": min(40, size // 4 - 10),
    }
    for text in FILL:
        run(text.format(**values))


def build(address: str, size: int) -> str:
    return filled(address, lambda run: fill(run, size, EACH, on_server=is_server(address)))


# A value for each filter that matches some records, by the filter's name or its type.
NAMED: dict[str, Any] = {
    "subject_type": "Workspace",
    "by_email_address": "u7@example.org",
    "by_email_addresses": ("u7@example.org", "u8@example.org"),
    "external_reference_status": "failed",
    "status": "failed",
    "external_reference_service_name": "ledger",
    "service_name": "ledger",
    "external_reference_service_model": "issue",
    "service_model": "issue",
    "external_reference_service_model_ref": "REF-7",
    "service_model_ref": "REF-7",
    "external_reference_external_status": "open",
    "external_status": "open",
    "external_reference_external_message": "Done.",
    "external_message": "Done.",
    "external_reference_service_model_refs": ("REF-7", "REF-8"),
    "without_external_reference_service_name": "ledger",
    "creator": (5,),
    "creator_id": (5,),
    "color": ("red",),
    "category_color": "Budget:red",
    "archived": "only",
}
# Few records have it at either size, so a search for it does not grow either.
RARE_WORD = "377"
TYPED: dict[FilterType, Any] = {
    FilterType.TIME: T0 + 100 * DAY,
    FilterType.DATE: "2026-01-15",
    FilterType.FLAG: True,
    FilterType.ONLY: True,
    FilterType.ID: (10,),
    FilterType.IDS: (10, 11),
    FilterType.WORDS: RARE_WORD,
}


def value_of(one: FilterSpec) -> Any:
    return NAMED[one.name] if one.name in NAMED else TYPED[one.type]


class Case(NamedTuple):
    """A list, and the names of what it requests in addition to the defaults."""

    who: Caller
    query: Query
    names: frozenset[str]

    @property
    def is_lone(self) -> bool:
        """Whether there is a counter for it, if its caller sees everything."""
        return len([name for name in self.names if "=" not in name]) <= 1

    def __str__(self) -> str:
        return f"{self.who} {self.query.kind} {'+'.join(sorted(self.names)) or 'all'}"


def defaults(kind: Kind, sent: tuple[FilterSpec, ...]) -> tuple[Filter, ...]:
    """The filters that apply unless they, or filters that replace them, are sent."""
    names = {one.name for one in sent}
    return tuple(
        Filter(one.name, NAMED[one.name] if one.default is None else one.default)
        for one in RESOURCES[kind].filters
        if (one.default is not None or one.required) and not names & {one.name, *one.replaced_by}
    )


def a_case(
    who: Caller, kind: Kind, sent: tuple[FilterSpec, ...], sort: Sort | None, include: str | None
) -> Case:
    resource = RESOURCES[kind]
    filters = (*defaults(kind, sent), *(Filter(one.name, value_of(one)) for one in sent))
    names = {one.name for one in sent}
    if sort is not None:
        names.add(f"order={sort.name}")
    if include is not None:
        names.add(f"include={include}")
    query = Query(
        kind,
        filters,
        sort or resource.default_sort,
        includes=() if include is None else (include,),
        caller=WHO[who].user_id or 1,
    )
    return Case(who, query, frozenset(names))


def orders(kind: Kind) -> list[Sort]:
    return [
        Sort(name, descending=descending)
        for name in RESOURCES[kind].sorts
        for descending in (False, True)
    ]


def alone(kind: Kind) -> Iterator[Case]:
    resource = RESOURCES[kind]
    for who in Caller:
        yield a_case(who, kind, (), None, None)
        for one in resource.filters:
            yield a_case(who, kind, (one,), None, None)
        for sort in orders(kind):
            yield a_case(who, kind, (), sort, None)
        for association in resource.associations:
            yield a_case(who, kind, (), None, association.name)


def pairs(kind: Kind) -> Iterator[Case]:
    """Each pair of filters, combined in turn with each order and each include."""
    resource = RESOURCES[kind]
    sorts: list[Sort | None] = [*orders(kind)]
    includes = [one.name for one in resource.associations] or [None]
    for place, (one, other) in enumerate(combinations(resource.filters, 2)):
        sort, include = sorts[place % len(sorts)], includes[place % len(includes)]
        yield a_case(Caller.ADMINISTRATOR, kind, (one, other), sort, include)


def is_count(text: str) -> bool:
    return text.startswith("SELECT count(") and " AS some" not in text
