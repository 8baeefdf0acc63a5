"""A server that is killed while it writes keeps every acknowledged write, complete."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from conftest import Account, Server
from effort import effort
from expect import assert_envelope
from healthreports.app import open_database
from healthreports.settings import Settings
from healthreports.store.lists import verify
from healthreports.store.schema.upgrade import upgrade
from postgres_kit import Cluster

# The same switch as for the generated tests; it can be read only once.
ROUNDS = effort(3, 50).max_examples
CLIENTS = 4
# A round ends after up to this many answers, and up to this many seconds more.
MOST_ANSWERS = 80
MOST_MORE_S = 0.02
SERVICES = ("jira", "asana", "other")


@pytest.fixture(params=["sqlite", "postgres"])
def on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new database that waits for the disk at each commit."""
    if request.param == "sqlite":
        address = str(tmp_path / "crash.sqlite3")
        upgrade(address)
        yield address
    else:
        cluster = Cluster(tmp_path / "data", fsync="on").start()
        address = cluster.make_database()
        upgrade(address)
        yield address
        cluster.remove()


class State(NamedTuple):
    """The text of a report, its links (service, reference), and whether it is here.

    A report that is not here is in the trash, and its links are stored with it.
    """

    says: str
    links: frozenset[tuple[str, str]]
    is_here: bool = True

    @property
    def shown(self) -> "State":
        """What the API shows of the report: the trash shows no links."""
        return self if self.is_here else self._replace(links=frozenset())

    def linked(self, service: str, ref: str) -> "State":
        return self._replace(links=self.unlinked(service).links | {(service, ref)})

    def unlinked(self, service: str) -> "State":
        return self._replace(links=frozenset(one for one in self.links if one[0] != service))


@dataclass
class Client:
    """Writes reports that no other client writes, and records the answers.

    A report is in one of the states that the answers so far allow; None means purged. A report that
    was sent and not answered is sent again with its idempotency key.
    """

    name: str
    random: random.Random
    possible: dict[str, set[State | None]] = field(default_factory=dict)
    # New reports without an answer, by their idempotency keys.
    unanswered: dict[str, tuple[State, dict[str, object]]] = field(default_factory=dict)
    # Changes by this client of the report that all clients change: acknowledged, and unanswered.
    raised: int = 0
    maybe_raised: int = 0
    references: dict[tuple[str, str], str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def write(
        self, api: httpx.Client, workspaces: list[str], common: str, note: Callable[[], None]
    ) -> None:
        """Write until the server is killed."""
        try:
            for key in list(self.unanswered):
                self.send_new(api, key)
            while True:
                if self.random.random() < 0.2:
                    self._raise_number(api, common)
                else:
                    self._write_one(api, workspaces)
                note()
        except httpx.TransportError:
            return

    def _write_one(self, api: httpx.Client, workspaces: list[str]) -> None:
        known = {
            key: next(iter(states)) for key, states in self.possible.items() if len(states) == 1
        }
        mine = [(key, state) for key, state in known.items() if state is not None]
        text = f"{self.name}-{next(self.numbers)}"
        service = self.random.choice(SERVICES)
        if len(mine) < 3 or self.random.random() < 0.3:
            self._create(api, self.random.choice(workspaces), text, service)
            return
        key, state = self.random.choice(mine)
        if not state.is_here:
            self._end_deletion(api, key, state)
            return
        reference = self.references.get((key, service))
        does = self.random.choice(["change", "change", "refer", "refer", "unrefer", "delete"])
        if does == "change":
            sent = {"description": text, "external_reference": self._link(service, text)}
            after = State(text, state.links).linked(service, text)
            self._send(api, "PUT", f"/status_reports/{key}", {"status_report": sent}, key, after)
        elif does == "delete":
            self._send(
                api, "DELETE", f"/status_reports/{key}", None, key, state._replace(is_here=False)
            )
        elif does == "unrefer" and reference is not None:
            path, after = f"/external_references/{reference}", state.unlinked(service)
            self._send(api, "DELETE", path, None, key, after)
            del self.references[key, service]
        else:
            subject = {"subject_type": "StatusReport", "subject_id": key}
            body = {"external_reference": self._link(service, text) | subject}
            path, after = "/external_references/create_or_update", state.linked(service, text)
            answer = self._send(api, "POST", path, body, key, after)
            self.references[key, service] = answer.json()["results"][0]["id"]

    def _create(self, api: httpx.Client, workspace: str, text: str, service: str) -> None:
        new = {"workspace_id": workspace, "color": "green", "description": text}
        state = State(text, frozenset())
        if self.random.random() < 0.7:
            new |= {"external_reference": self._link(service, text)}
            state = state.linked(service, text)
        self.unanswered[text] = state, {"status_report": new}
        self.send_new(api, text)

    def send_new(self, api: httpx.Client, key: str) -> None:
        state, new = self.unanswered[key]
        answer = api.post("/status_reports", json=new, headers={"idempotency-key": key})
        assert answer.status_code == 200, answer.text
        self.possible[answer.json()["results"][0]["id"]] = {state}
        del self.unanswered[key]

    def _end_deletion(self, api: httpx.Client, key: str, state: State) -> None:
        path = f"/deleted_status_reports/{key}"
        if self.random.random() < 0.7:
            self._send(api, "POST", f"{path}/restore", None, key, state._replace(is_here=True))
        else:
            self._send(api, "DELETE", path, None, key, None)

    def _raise_number(self, api: httpx.Client, common: str) -> None:
        """Add one to the number in the common report, unless another client changed it first."""
        path = f"/status_reports/{common}"
        shown = api.get(path)
        number = int(shown.json()["status_reports"][common]["description"])
        sent = {"status_report": {"description": str(number + 1)}}
        self.maybe_raised += 1
        answer = api.put(path, json=sent, headers={"if-match": shown.headers["etag"]})
        assert answer.status_code in {200, 412}, answer.text
        self.maybe_raised -= 1
        self.raised += answer.status_code == 200

    def _send(  # noqa: PLR0917  the request, and the state after it
        self,
        api: httpx.Client,
        method: str,
        path: str,
        body: dict[str, object] | None,
        key: str,
        after: State | None,
    ) -> httpx.Response:
        self.possible[key].add(after)
        answer = api.request(method, path, json=body)
        assert answer.status_code in {200, 204}, answer.text
        self.possible[key] = {after}
        return answer

    @staticmethod
    def _link(service: str, ref: str) -> dict[str, str]:
        return {"service_name": service, "service_model": "m", "service_model_ref": ref}


def write_until_killed(
    server: Server, account: Account, clients: list[Client], common: str, chance: random.Random
) -> None:
    answered = threading.Semaphore(0)
    apis = [server.client(account.secrets["administrator"]) for _ in clients]
    with ThreadPoolExecutor(len(clients)) as pool:
        writing = [
            pool.submit(client.write, api, account.workspaces, common, answered.release)
            for client, api in zip(clients, apis, strict=True)
        ]
        try:
            are_enough = all(
                answered.acquire(timeout=20) for _ in range(chance.randint(1, MOST_ANSWERS))
            )
            # In half of the rounds, do not wait: this finds answers that are sent too early.
            time.sleep(chance.choice([0, chance.uniform(0, MOST_MORE_S)]))
        finally:
            said = server.stop(signal.SIGKILL)
    for api in apis:
        api.close()
    for one in writing:
        one.result()
    assert are_enough
    assert "Traceback" not in said, said


def found(api: httpx.Client) -> dict[str, State]:
    reports: dict[str, State] = {}
    for page in count(1):
        answer = api.get(
            "/status_reports",
            params={"per_page": 200, "page": page, "include": "external_references"},
        )
        body = assert_envelope(answer, "status_reports")
        linked = body["external_references"]
        for key, report in body["status_reports"].items():
            links = {
                (linked[one]["service_name"], linked[one]["service_model_ref"])
                for one in report["external_reference_ids"]
            }
            reports[key] = State(report["description"], frozenset(links))
        if page >= body["meta"]["page_count"]:
            break
    assert len(reports) == body["count"]
    for page in count(1):
        answer = api.get("/deleted_status_reports", params={"per_page": 200, "page": page})
        body = answer.json()
        for key, report in body["deleted_status_reports"].items():
            assert key not in reports
            reports[key] = State(report["description"], frozenset(), is_here=False)
        if page >= body["meta"]["page_count"]:
            break
    return reports


def test_a_server_killed_again_and_again_keeps_what_it_answered_and_counts_right(
    on_disk: str, own_account: Callable[[Server], Account]
) -> None:
    chance = random.Random()
    clients = [Client(f"client-{number}", random.Random(number)) for number in range(CLIENTS)]
    server = Server(on_disk).start()
    account = own_account(server)
    common = account.report(description="0")
    for _ in range(ROUNDS):
        write_until_killed(server, account, clients, common, chance)
        server.start()
    with server.client(account.secrets["administrator"]) as api:
        for client in clients:
            for key in list(client.unanswered):
                client.send_new(api, key)
        reports = found(api)
        versions = api.get(f"/status_reports/{common}/versions", params={"per_page": 1}).json()
    assert "Traceback" not in server.stop()
    number = int(reports.pop(common).says)
    raised = sum(client.raised for client in clients)
    assert raised <= number <= raised + sum(client.maybe_raised for client in clients)
    assert versions["count"] == number + 1
    wrong = {
        key: (states, reports.get(key))
        for client in clients
        for key, states in client.possible.items()
        if reports.get(key) not in {state and state.shown for state in states}
    }
    assert wrong == {}
    answered = {key for client in clients for key in client.possible}
    assert answered
    assert reports.keys() <= answered
    database = open_database(Settings(database=on_disk))
    try:
        assert database.read_here(verify.differences) == []
    finally:
        database.close()
