"""The peer `plain`: the two reads as tutorials write them, in FastAPI, Pydantic and SQLAlchemy ORM.

To be fair, it has the same indexes, WAL mode and a pool with a connection for every client, and it
loads the details of a page with one more statement (`selectin`) instead of one for each report.
BENCH_PLAIN_DATABASE is the path of the database file.
"""

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict
from sqlalchemy import ColumnElement, ForeignKey, Index, create_engine, func, or_, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int]
    permission: Mapped[str]
    full_name: Mapped[str]
    email_address: Mapped[str] = mapped_column(unique=True)


class Token(Base):
    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    secret_hash: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    user: Mapped[User] = relationship()


class Workspace(Base):
    __tablename__ = "workspaces"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int]
    title: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Participation(Base):
    __tablename__ = "participations"
    __table_args__ = (Index("ix_participations_user", "user_id", "workspace_id"),)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    permission: Mapped[str]


class StatusReport(Base):
    __tablename__ = "status_reports"
    __table_args__ = (
        Index("ix_status_reports_account", "account_id", "id"),
        Index("ix_status_reports_workspace", "workspace_id", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int]
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id"))
    creator_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    updater_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    color: Mapped[str]
    description: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    details: Mapped[list["Detail"]] = relationship(lazy="selectin", order_by="Detail.id")


class Detail(Base):
    __tablename__ = "details"
    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("status_reports.id"), index=True)
    category: Mapped[str]
    color: Mapped[str]
    description: Mapped[str | None]


class ExternalReference(Base):
    __tablename__ = "external_references"
    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("status_reports.id"), index=True)
    service_name: Mapped[str]
    service_model: Mapped[str]
    service_model_ref: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


Utc = Annotated[datetime, AfterValidator(lambda moment: moment.replace(tzinfo=UTC))]


class DetailOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    category: str
    color: str
    description: str | None


class StatusReportOut(BaseModel):
    model_config = ConfigDict(from_attributes=True, coerce_numbers_to_str=True)
    id: str
    color: str
    description: str
    details: list[DetailOut]
    created_at: Utc
    updated_at: Utc
    workspace_id: str
    creator_id: str
    updater_id: str | None


class ResultOut(BaseModel):
    key: str
    id: str


class MetaOut(BaseModel):
    count: int
    page_count: int
    page_number: int
    page_size: int


class EnvelopeOut(BaseModel):
    count: int
    results: list[ResultOut]
    status_reports: dict[str, StatusReportOut]
    meta: MetaOut


# A connection for each of the 16 clients: with the default of 15, one would always wait.
engine = create_engine(
    f"sqlite:///{os.environ.get('BENCH_PLAIN_DATABASE', ':memory:')}",
    connect_args={"check_same_thread": False},
    **({"pool_size": 20} if "BENCH_PLAIN_DATABASE" in os.environ else {}),
)
app = FastAPI()
bearer = HTTPBearer()


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


def get_user(
    session: SessionDep, credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]
) -> User:
    secret_hash = hashlib.sha256(credentials.credentials.encode()).hexdigest()
    token = session.scalar(
        select(Token).where(
            Token.secret_hash == secret_hash,
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > datetime.now(UTC)),
        )
    )
    if token is None:
        raise HTTPException(401, "Invalid OAuth 2 Request")
    return token.user


UserDep = Annotated[User, Depends(get_user)]


def visible_to(user: User) -> list[ColumnElement[bool]]:
    conditions = [StatusReport.account_id == user.account_id]
    if user.permission != "administrator":
        own = select(Participation.workspace_id).where(Participation.user_id == user.id)
        conditions.append(StatusReport.workspace_id.in_(own))
    return conditions


def envelope(reports: list[StatusReport], count: int, page: int, per_page: int) -> dict[str, Any]:
    return {
        "count": count,
        "results": [{"key": "status_reports", "id": str(report.id)} for report in reports],
        "status_reports": {str(report.id): report for report in reports},
        "meta": {
            "count": count,
            "page_count": -(-count // per_page),
            "page_number": page if count else 0,
            "page_size": per_page,
        },
    }


@app.get("/api/v1/status_reports", response_model=EnvelopeOut)
def list_reports(
    session: SessionDep, user: UserDep, page: int = 1, per_page: int = 20
) -> dict[str, Any]:
    conditions = visible_to(user)
    count = session.scalar(select(func.count()).select_from(StatusReport).where(*conditions))
    reports = session.scalars(
        select(StatusReport)
        .where(*conditions)
        .order_by(StatusReport.id)
        .limit(per_page)
        .offset((page - 1) * per_page)
    )
    return envelope(list(reports), count or 0, page, per_page)


@app.get("/api/v1/status_reports/{report_id}", response_model=EnvelopeOut)
def get_report(session: SessionDep, user: UserDep, report_id: int) -> dict[str, Any]:
    report = session.scalar(
        select(StatusReport).where(StatusReport.id == report_id, *visible_to(user))
    )
    if report is None:
        raise HTTPException(404, "Not found")
    return envelope([report], 1, 1, 20)
