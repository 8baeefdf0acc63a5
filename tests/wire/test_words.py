"""Search and matching: what a word is, what finds it, and what is no longer found (4.6, 7)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from sharing import open_account

from conftest import Account, Server
from expect import assert_envelope, only_record
from healthreports.store.engine.database import Database


@dataclass(frozen=True)
class Place:
    """One way to search: the list, the filter, and how a record gets its text."""

    kind: str
    name: str
    write: Callable[[Account, str], str]
    change: Callable[[Account, str, str], None] | None = None
    delete: bool = False

    def found(self, account: Account, words: str, **more: str) -> list[str]:
        params = {"order": "id", self.name: words, **more}
        body = assert_envelope(account.api.get(f"/{self.kind}", params=params), self.kind)
        ids = [one["id"] for one in body["results"]]
        assert body["count"] == len(ids)
        return ids


def _report(account: Account, text: str) -> str:
    return account.report(description=text)


def _detail(account: Account, text: str) -> str:
    return account.report(details=[{"category": "Scope", "color": "red", "description": text}])


def _change_report(account: Account, one: str, text: str) -> None:
    sent = {"status_report": {"description": text}}
    only_record(account.api.put(f"/status_reports/{one}", json=sent))


def _change_detail(account: Account, one: str, text: str) -> None:
    details = [{"category": "Budget", "color": "red", "description": text}]
    sent = {"status_report": {"details": details}}
    only_record(account.api.put(f"/status_reports/{one}", json=sent))


def _workspace(name: str) -> Callable[[Account, str], str]:
    def write(account: Account, text: str) -> str:
        sent = {"workspace": {"title": "T", name: text}}
        return only_record(account.api.post("/workspaces", json=sent), "workspaces")["id"]

    return write


def _change_workspace(name: str) -> Callable[[Account, str, str], None]:
    def change(account: Account, one: str, text: str) -> None:
        sent = {"workspace": {name: text}}
        only_record(account.api.put(f"/workspaces/{one}", json=sent), "workspaces")

    return change


def _group(account: Account, text: str) -> str:
    sent = {"workspace_group": {"name": text}}
    return only_record(account.api.post("/workspace_groups", json=sent), "workspace_groups")["id"]


def _change_group(account: Account, one: str, text: str) -> None:
    sent = {"workspace_group": {"name": text}}
    only_record(account.api.put(f"/workspace_groups/{one}", json=sent), "workspace_groups")


def _user(account: Account, text: str) -> str:
    address = f"{abs(hash(text))}@0.0"
    sent = {"full_name": text, "email_address": address, "permission": "collaborator"}
    answer = account.api.post("/account_memberships", json={"account_membership": sent})
    return only_record(answer, "account_memberships")["user_id"]


PLACES = {
    "text of a report": Place("status_reports", "text", _report, _change_report, delete=True),
    "text of a detail": Place("status_reports", "text", _detail, _change_detail, delete=True),
    "title": Place("workspaces", "matching", _workspace("title"), _change_workspace("title")),
    "search a title": Place(
        "workspaces", "search", _workspace("title"), _change_workspace("title")
    ),
    "search a description": Place(
        "workspaces", "search", _workspace("description"), _change_workspace("description")
    ),
    "name of a group": Place("workspace_groups", "matching", _group, _change_group, delete=True),
    "search a user": Place("users", "search", _user),
    "matching a user": Place("users", "matching", _user),
}
# Those whose text the API can change, and those whose record it can delete.
CHANGING = {name: one for name, one in PLACES.items() if one.change is not None}
DELETING = {name: one for name, one in PLACES.items() if one.delete}
EVERYWHERE = pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))


@pytest.fixture(scope="module")
def one(server: Server, database: Database) -> Iterator[Account]:
    """An account for all tests here that search for words that no other test writes."""
    with open_account(server, database) as account:
        yield account


# Text, words that find it, words that do not.
WORDS = {
    "case": ("Quarzit BLAU", ["quarzit", "QUARZIT", "blau", "Blau quarz"], ["quarzite", "blaue"]),
    "accents": ("Crème Brûlée Ñandú", ["creme", "BRULEE", "ñan", "nandu crème"], ["cremes"]),
    "no accents": ("Uberfluss", ["überfluss", "ÜBERF"], ["ueberfluss"]),
    "decomposed": ("Zu\u0308ndholz", ["zündholz", "zundh"], ["undholz x"]),
    "sharp s": ("Gießkanne", ["giesskanne", "GIESSKANNE", "gießk"], ["gieskanne"]),
    "dotted I": ("İzmir Iğdır", ["izmir", "IZMIR"], ["zmirx"]),  # noqa: RUF001
    "sigma": ("Οδυσσεύς", ["οδυσσευς", "ΟΔΥΣΣΕΎΣ", "οδυσ"], ["οδυσσεα"]),
    "cyrillic": ("Журнал Ёлка", ["журнал", "ЖУРН", "елка"], ["журналы"]),
    "several": (
        "alfa bravo charlie delta",
        ["alfa delta", "delta alfa", "al br ch de"],
        ["alfa echo"],
    ),
    "signs between": (
        "foxtrot-golf/hotel_india.juliet",
        ["golf", "hotel", "india", "juliet"],
        ["foxtrotgolf"],
    ),
    "signs asked for": (
        "kilo lima",
        ["kilo-lima", "kilo, lima!", "(kilo)", '"kilo"', "*kilo*"],
        [],
    ),
    "one letter": ("k-ray", ["k", "ray k", "ra k"], ["j"]),
    "two letters": ("qq zz", ["qq", "zz", "q z"], ["qz"]),
    "digits": ("2027Q3 1.2345678,9", ["2027q3", "2345678", "1 23456 9"], ["12345678"]),
    "chinese": ("项目进度报告", ["项目", "进度", "报告", "目", "进度报告", "告"], ["度进", "目项"]),
    "japanese": (
        "進捗レポート東京タワー",
        ["レポート", "東京", "タワー", "ポート東", "捗"],
        ["京東"],
    ),
    "korean": ("프로젝트 보고서", ["프로", "프로젝트 보고"], ["보고서들"]),
    "thai": ("รายงานโครงการ", ["รายงาน", "โครงการ"], []),
    "arabic": ("تقرير المشروع", ["تقرير", "المش"], ["مشروعات"]),
    "hebrew": ("דוח פרויקט", ["דוח", "פרו"], ["קטן"]),
    "mixed": ("Version2 计划A", ["version2", "计划", "计划a"], ["划计"]),
    "ligature": ("ﬁnance ﬂuid", ["finance", "fluid", "fin"], ["inancex"]),
    "full width": ("ＡＢＣ１２３", ["abc123", "abc"], ["bcd"]),  # noqa: RUF001
    "new letters": ("𞤀𞤁𞤂 𐓘𐓙 Ა", ["𞤀𞤁", "𐓘"], ["𞤂𞤁"]),
    "old letters": ("𐌰𐌱𐌲 𝔘𝔫𝔦", ["𐌰𐌱", "uni"], ["𐌱𐌰"]),  # noqa: RUF001
}


# 4.6, 7.1, 7.2, 7.6
@EVERYWHERE
@pytest.mark.parametrize(("text", "finding", "missing"), WORDS.values(), ids=WORDS)
def test_words_find_what_has_them(
    account: Account, place: Place, text: str, finding: list[str], missing: list[str]
) -> None:
    made = place.write(account, text)
    for words in finding:
        assert place.found(account, words) == [made], words
    for words in missing:
        assert place.found(account, words) == [], words


# 4.6, 7.1, 7.6: the beginning of a word finds it; for users any part does (7.2)
@EVERYWHERE
def test_the_middle_of_a_word_finds_users_alone(account: Account, place: Place) -> None:
    made = place.write(account, "Sabbatical Mondschein")
    for words in ("bbatical", "schein", "schei mond", "atic ondsch"):
        assert place.found(account, words) == ([made] if place.kind == "users" else [])


ODD = {
    "quote": '"',
    "open quote": '"sonnen',
    "apostrophe": "'",
    "apostrophes": "'' OR 1=1 --",
    "star": "*",
    "stars": "sonnen*blume*",
    "and": "sonnen AND blume",
    "or": "sonnen OR nobody",
    "not": "sonnen NOT blume",
    "near": "NEAR(sonnen blume, 2)",
    "AND alone": "AND",
    "OR alone": "OR",
    "column": "words : sonnen",
    "caret": "^sonnen",
    "plus": "sonnen + blume",
    "brackets": "(sonnen",
    "tsquery": "sonnen & !blume | <-> nobody:*",
    "weights": "sonnen:AB",
    "percent": "%",
    "underscore": "_",
    "underscores": "son_en",
    "backslash": "\\",
    "backslashes": "\\' \\",
    "emoji": "😀",
    "family": "👩‍👩‍👧‍👦",
    "flag": "🇨🇭",
    "NUL": "\0",
    "NUL in a word": "son\0nen",
    "mark alone": "\u0301",
    "zero width": "\u200b\u200d\ufeff",
    "direction": "\u202esonnen\u202c",
    "replacement": "\ufffd",
    "not a character": "\uffff\U0010ffff",
    "dot between": "·",
    "dots between": "1r·sonnen",
    "controls": "\x01\x1f\x7f\x85",
    "lines": "sonnen\r\nblume\ttau",
    "500 words": " ".join(f"w{n}" for n in range(500)),
    "500 of one": "sonnen " * 500,
    "long word": "a" * 5000,
    "long word of marks": "a" + "\u0301" * 5000,
    "long chinese": "项" * 3000,
    "many signs": "-" * 5000,
    "expanding": "ﷺ" * 300,
}


# 4.6, 6: never a 500, never a syntax error
@EVERYWHERE
@pytest.mark.parametrize("words", ODD.values(), ids=ODD)
def test_no_odd_words_are_an_error(one: Account, place: Place, words: str) -> None:
    for params in (
        {place.name: words},
        {f"{place.name}[]": words},
        {place.name: words, "page": "2"},
    ):
        answer = one.api.get(f"/{place.kind}", params=params)
        assert_envelope(answer, place.kind)
    for role in ("editor", "viewer", "outsider"):
        answer = one.clients[role].get(f"/{place.kind}", params={place.name: words})
        assert_envelope(answer, place.kind)


# The same for parts of names.
@pytest.mark.parametrize("kind", ["users", "account_memberships"])
@pytest.mark.parametrize("words", ODD.values(), ids=ODD)
def test_no_odd_part_of_a_name_is_an_error(one: Account, kind: str, words: str) -> None:
    assert_envelope(one.api.get(f"/{kind}", params={"by_full_name": words}), kind)


# 4.6: operators of the databases are ordinary words
@EVERYWHERE
def test_operators_are_words(account: Account, place: Place) -> None:
    made = place.write(account, "sonnen AND blume")
    assert place.found(account, "sonnen AND blume") == [made]
    assert place.found(account, "sonnen OR nobody") == []
    assert place.found(account, "sonnen NOT blume") == []
    assert place.found(account, "NEAR(sonnen blume)") == []
    assert place.found(account, "and") == [made]
    assert place.found(account, "sonnen " * 500) == [made]
    assert place.found(account, "sonnen\r\nblume\tand") == [made]
    # There are no wildcards: signs are not words.
    for words in ("son%", "son*"):
        assert place.found(account, words) == [made]
    for words in ("%", "*", "_", "son_men", "s%men", '""', "-", "😀"):
        assert place.found(account, words) == []


# 4.6: a stored text may be just as odd, and its words still find it
@EVERYWHERE
@pytest.mark.parametrize(
    "text",
    [
        "kupfer \"' %_\\ *:& zinn",
        "kupfer 😀👩‍👩‍👧 zinn",
        "kupfer · zinn 9r·zinn",
        "kupfer \u202e\u200b\ufeff zinn",
        "kupfer\tzinn",
        "kupfer " + "a" * 200 + " zinn",
        "kupfer " + "项" * 200 + " zinn",
        "kupfer " + "ﷺ" * 20 + " zinn",
        "kupfer ½ ² ① Ⅷ ㍿ zinn",
    ],
)
def test_odd_texts_are_found_by_their_words(account: Account, place: Place, text: str) -> None:
    made = place.write(account, text)
    for words in ("kupfer", "zinn", "KUPF zin"):
        assert place.found(account, words) == [made]
    assert place.found(account, text.split(" ", 1)[0]) == [made] or "\t" in text


# 5.7: the longest texts are found by their last words too
def test_the_words_of_a_long_text_are_found(account: Account) -> None:
    place = PLACES["text of a report"]
    text = " ".join(f"w{number:05}" for number in range(7000))
    made = place.write(account, f"{text} zuletzt"[:50_000])
    for words in ("w00000", "w06999", "zuletzt", "w03500 w069"):
        assert place.found(account, words) == [made]
    for sent in ("项" * 50_000, "ａ" * 50_000, "ﷺ" * 50_000, "👍" * 50_000, "x " * 25_000):  # noqa: RUF001
        _change_report(account, made, sent)
        assert place.found(account, "zuletzt") == []
    characters = "".join(chr(0x4E00 + number % 20_900) for number in range(50_000))
    _change_report(account, made, characters)
    assert place.found(account, characters[100:103]) == [made]
    letters = " ".join(chr(0x10400 + number % 40) * (number % 60 + 1) for number in range(1500))
    _change_report(account, made, letters[:50_000])
    assert place.found(account, letters[:1]) == [made]


# Only the text that was written last is found.
@pytest.mark.parametrize("place", CHANGING.values(), ids=CHANGING)
def test_what_changed_is_found_by_its_new_words_alone(account: Account, place: Place) -> None:
    assert place.change is not None
    made = place.write(account, "Erstens gemeinsam")
    for old, new in (("erstens", "zweitens"), ("zweitens", "Drittens"), ("drittens", "erstens")):
        place.change(account, made, f"{new} gemeinsam")
        assert place.found(account, new) == [made]
        assert place.found(account, old) == []
        assert place.found(account, f"gemein {new}") == [made]
        assert place.found(account, f"{old} {new}") == []
    place.change(account, made, "erstens gemeinsam")  # the same again
    assert place.found(account, "erstens") == [made]


@pytest.mark.parametrize("place", DELETING.values(), ids=DELETING)
def test_what_was_deleted_is_not_found(account: Account, place: Place) -> None:
    ids = [place.write(account, f"Verloren {number}") for number in range(3)]
    assert place.found(account, "verloren") == ids
    while ids:
        assert account.api.delete(f"/{place.kind}/{ids.pop()}").status_code == 204
        assert place.found(account, "verloren") == ids


# Nothing of another account is found, whether or not its id is the beginning of ours.
@EVERYWHERE
def test_words_of_another_account_are_never_found(
    account: Account, other_account: Account, place: Place
) -> None:
    ours = place.write(account, "Geheimnis")
    assert place.found(other_account, "geheimnis") == []
    theirs = place.write(other_account, "Geheimnis")
    assert place.found(account, "geheimnis") == [ours]
    assert place.found(other_account, "geheimnis") == [theirs]
    for words in (f"{account.id}r·geheimnis", f"{account.id}", "·"):
        assert ours not in place.found(other_account, words)


# 4.6
def test_a_detail_that_is_left_out_is_not_found(account: Account) -> None:
    place = PLACES["text of a detail"]
    made = place.write(account, "Einzelheit")
    assert place.found(account, "einzelheit well") == [made]
    only_record(account.api.put(f"/status_reports/{made}", json={"status_report": {"details": []}}))
    assert place.found(account, "einzelheit") == []
    assert place.found(account, "well") == [made]


# 4.6: text and current together, whichever report is the current one
def test_the_text_of_current_reports_follows_every_write(account: Account) -> None:
    place = PLACES["text of a report"]
    first = place.write(account, "Wegmarke eins")

    def current(words: str) -> list[str]:
        return place.found(account, words, current="true")

    assert current("wegmarke") == [first]
    second = place.write(account, "Wegmarke zwei")
    assert current("wegmarke") == [second]
    assert current("eins") == []
    assert place.found(account, "eins", current="false") == [first]
    _change_report(account, first, "Wegmarke drei")
    assert current("drei") == []
    _change_report(account, second, "Wegmarke vier")
    assert current("zwei") == []
    assert current("vier") == [second]
    assert account.api.delete(f"/status_reports/{second}").status_code == 204
    assert current("wegmarke drei") == [first]
    assert current("eins") == []
    _change_report(account, first, "Wegmarke eins")
    assert current("drei") == []
    assert current("eins") == [first]
    other = account.report(workspace_id=account.workspaces[1], description="Wegmarke eins")
    assert current("eins weg") == [first, other]
    assert account.api.delete(f"/status_reports/{first}").status_code == 204
    assert current("wegmarke") == [other]


# 7.1: search uses title, description and id at once; matching uses only the title
def test_search_and_matching_of_workspaces_differ(account: Account) -> None:
    sent = {"title": "Oberhalb", "description": "Unterhalb"}
    answer = account.api.post("/workspaces", json={"workspace": sent})
    made = only_record(answer, "workspaces")["id"]
    title, search = PLACES["title"], PLACES["search a title"]
    assert title.found(account, "oberhalb") == search.found(account, "oberhalb") == [made]
    assert title.found(account, "unterhalb") == []
    assert search.found(account, "unterhalb oberhalb") == [made]
    assert search.found(account, f"ober {made}") == [made]
    assert title.found(account, made) == []
    _change_workspace("description")(account, made, "Anders")
    assert search.found(account, "unterhalb") == []
    answer = account.api.put(f"/workspaces/{made}", json={"workspace": {"description": None}})
    only_record(answer, "workspaces")
    assert search.found(account, "anders") == []
    answer = account.api.put(f"/workspaces/{made}", json={"workspace": {"archived": True}})
    only_record(answer, "workspaces")
    assert search.found(account, "oberhalb") == []
    assert search.found(account, "oberhalb", archived="only") == [made]
    assert title.found(account, "oberhalb", include_archived="true") == [made]


# 4.7
def test_search_is_ignored_on_reports(account: Account) -> None:
    made = account.report()
    answer = account.api.get("/status_reports?search=nothing")
    assert_envelope(answer, "status_reports", [made], count=1)


# 4.6: a blank value counts as not sent; signs alone find nothing
@EVERYWHERE
def test_signs_alone_find_nothing(account: Account, place: Place) -> None:
    place.write(account, "Irgendwas")
    whole = assert_envelope(account.api.get(f"/{place.kind}"), place.kind)["count"]
    for words, count in (("", whole), ("   ", whole), ("...", 0), ("😀", 0)):
        answer = account.api.get(f"/{place.kind}", params={place.name: words})
        assert_envelope(answer, place.kind, count=count)
