"""The declarations are complete: each row that other code relies on exists."""

import json

import msgspec
import pytest

from healthreports import app
from healthreports.contract import params, schemas
from healthreports.contract.failure import failure_of, is_expected
from healthreports.contract.resources import RESOURCES, FieldType, FilterSpec, FilterType
from healthreports.core import errors
from healthreports.core.model import (
    AccountMembership,
    ExternalReference,
    Instant,
    Participation,
    StatusReport,
    User,
    Workspace,
    WorkspaceGroup,
)
from healthreports.core.vocabulary import Color, Kind

MODELS = {
    Kind.STATUS_REPORTS: StatusReport,
    Kind.WORKSPACES: Workspace,
    Kind.USERS: User,
    Kind.EXTERNAL_REFERENCES: ExternalReference,
    Kind.PARTICIPATIONS: Participation,
    Kind.ACCOUNT_MEMBERSHIPS: AccountMembership,
    Kind.WORKSPACE_GROUPS: WorkspaceGroup,
}
ARGUMENTS = {
    errors.MalformedBody: ("why",),
    errors.RootMissing: ("status_report", "application/json"),
    errors.BadParameter: ("page", "a number"),
    errors.BodyTooLarge: (10,),
    errors.FilterNotServed: ("stage",),
    errors.TooManyIncluded: ("participants", Kind.USERS, 20_000),
    errors.MethodNotAllowed: (("GET",),),
    errors.Forbidden: ("a permission",),
    errors.StorageReplaced: ("the file was removed",),
    errors.NotFound: (Kind.USERS,),
    errors.NotInstalled: ("install it",),
    errors.BadConsentRequest: ("a reason",),
    errors.SignInRefused: ("a reason",),
    errors.SeveralAccounts: (("acme", "north"),),
    errors.TooManyRequests: ("token", 5, 60, 3),
    errors.Overtaken: (
        StatusReport(
            id=1,
            account_id=1,
            workspace_id=1,
            creator_id=1,
            updater_id=None,
            color=Color.RED,
            description="Late.",
            details=(),
            created_at=Instant(0),
            updated_at=Instant(0),
        ),
    ),
    errors.Invalid: ([errors.Problem("color", errors.Fault.MISSING)],),
}


def leaves(kind: type[Exception]) -> list[type[Exception]]:
    below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return below or [kind]


def test_every_error_in_the_tree_has_an_answer_of_its_own() -> None:
    in_tree = [
        one for one in leaves(errors.HealthReportsError) if one.__module__ == errors.__name__
    ]
    assert len(in_tree) > 10
    for kind in [*in_tree, errors.StorageUnavailable, errors.SignInRefused]:
        error = kind(*ARGUMENTS.get(kind, ()))
        assert is_expected(error)
        failure = failure_of(error)
        assert 400 <= failure.status <= 503, kind
        assert failure.status != 500, kind
        assert json.loads(failure.body)["errors"]


def test_an_error_that_nobody_expected_says_nothing_of_the_inside() -> None:
    failure = failure_of(ZeroDivisionError("secret detail"))
    assert failure.status == 500
    assert b"secret" not in failure.body
    assert not is_expected(ZeroDivisionError())


@pytest.mark.parametrize("fault", list(errors.Fault))
def test_every_fault_has_a_sentence(fault: errors.Fault) -> None:
    problem = errors.Problem("details[0].color", fault, ("green", "yellow", "red"), 5)
    [error] = json.loads(failure_of(errors.Invalid([problem])).body)["errors"]
    assert error["field"] == "details[0].color"
    assert error["message"].startswith("Color ")
    assert "{" not in error["message"]


def test_the_example_sentence_of_the_contract() -> None:
    problem = errors.Problem("color", errors.Fault.NOT_IN, ("green", "yellow", "red"))
    [error] = json.loads(failure_of(errors.Invalid([problem])).body)["errors"]
    assert error == {
        "type": "validation",
        "message": "Color must be green, yellow or red",
        "field": "color",
    }


@pytest.mark.parametrize("kind", list(RESOURCES))
def test_every_declared_attribute_is_one_of_the_model(kind: Kind) -> None:
    resource, model = RESOURCES[kind], MODELS[kind]
    names = set(model.__struct_fields__)
    of_record = [one for one in resource.fields if one.made_by is None and not one.of_caller]
    assert {field.name for field in of_record} <= names
    for association in resource.associations:
        assert association.column == (association.link in names)


def test_every_type_has_a_reader_and_a_schema() -> None:
    assert set(schemas.FIELD_SCHEMAS) == set(FieldType)
    assert set(params._READERS) == set(schemas.FILTER_SCHEMAS)  # noqa: SLF001  the table is private, but its rows are tested here
    assert set(params._READERS) | params.CHOOSING == set(FilterType)  # noqa: SLF001  as above


@pytest.mark.parametrize("kind", list(RESOURCES))
def test_a_filter_with_choices_is_of_a_type_that_chooses(kind: Kind) -> None:
    for one in RESOURCES[kind].filters:
        assert bool(one.choices) == (one.type in params.CHOOSING), one.name
        assert {*one.replaced_by} <= {other.name for other in RESOURCES[kind].filters}
    assert not RESOURCES[kind].not_served.keys() & {one.name for one in RESOURCES[kind].filters}


def test_the_server_refuses_to_start_when_wire_and_store_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app.check_declarations()
    resource = RESOURCES[Kind.USERS]
    extra = FilterSpec("shoe_size", FilterType.TEXT, "exact match")
    changed = msgspec.structs.replace(resource, filters=(*resource.filters, extra))
    monkeypatch.setitem(RESOURCES, Kind.USERS, changed)
    with pytest.raises(RuntimeError, match="shoe_size"):
        app.check_declarations()
