"""The embedded HTTP source: its people, its broken people, and its API over a real socket."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scripts.source import invalid, people

ROOT = Path(__file__).parents[3]

# What randomuser.me 1.4 answers, with the JSON types a leaf may have.
FIELDS: dict[str, tuple[type, ...]] = {
    "gender": (str,),
    "name.title": (str,),
    "name.first": (str,),
    "name.last": (str,),
    "location.street.number": (int,),
    "location.street.name": (str,),
    "location.city": (str,),
    "location.state": (str,),
    "location.country": (str,),
    "location.postcode": (int, str),
    "location.coordinates.latitude": (str,),
    "location.coordinates.longitude": (str,),
    "location.timezone.offset": (str,),
    "location.timezone.description": (str,),
    "email": (str,),
    "login.uuid": (str,),
    "login.username": (str,),
    "login.password": (str,),
    "login.salt": (str,),
    "login.md5": (str,),
    "login.sha1": (str,),
    "login.sha256": (str,),
    "dob.date": (str,),
    "dob.age": (int,),
    "registered.date": (str,),
    "registered.age": (int,),
    "phone": (str,),
    "cell": (str,),
    "id.name": (str,),
    "id.value": (str, type(None)),
    "picture.large": (str,),
    "picture.medium": (str,),
    "picture.thumbnail": (str,),
    "nat": (str,),
}

COUNTRIES = {
    "AU": "Australia",
    "BR": "Brazil",
    "CA": "Canada",
    "CH": "Switzerland",
    "DE": "Germany",
    "DK": "Denmark",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "IE": "Ireland",
    "IN": "India",
    "IR": "Iran",
    "MX": "Mexico",
    "NL": "Netherlands",
    "NO": "Norway",
    "NZ": "New Zealand",
    "RS": "Serbia",
    "TR": "Turkey",
    "UA": "Ukraine",
    "US": "United States",
}


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def people_of(seed: str, count: int, *nationalities: str) -> list[dict[str, Any]]:
    return [json.loads(user) for user in people.users(seed, range(count), nationalities)]


@pytest.fixture(scope="module")
def crowd() -> list[dict[str, Any]]:
    return people_of("crowd", 5_000)


# --- people


def test_a_user_has_every_field_of_the_api_in_its_order_and_type(crowd: list[dict[str, Any]]) -> None:
    for user in crowd:
        found = list(leaves(user))
        assert [path for path, _ in found] == list(FIELDS)
        assert all(type(value) in FIELDS[path] for path, value in found), user


def test_values_have_the_form_they_have_in_the_api(crowd: list[dict[str, Any]]) -> None:
    for user in crowd:
        login, place = user["login"], user["location"]
        assert [len(login[name]) for name in ("salt", "md5", "sha1", "sha256")] == [8, 32, 40, 64]
        assert 1 <= place["street"]["number"] <= 9_999
        assert -90 < float(place["coordinates"]["latitude"]) < 90
        assert -180 < float(place["coordinates"]["longitude"]) < 180
        assert re.fullmatch(r"[a-z]+\.[a-z]+@example\.com", user["email"])
        for event in (user["dob"], user["registered"]):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["date"])
            assert 2024 - datetime.fromisoformat(event["date"]).year == event["age"]
        who = {"female": "women", "male": "men"}[user["gender"]]
        assert re.fullmatch(rf"https://randomuser\.me/api/portraits/med/{who}/\d\d?\.jpg", user["picture"]["medium"])
        assert user["picture"]["large"] == user["picture"]["medium"].replace("/med/", "/")
        assert user["picture"]["thumbnail"] == user["picture"]["medium"].replace("/med/", "/thumb/")


def test_every_nationality_comes_under_the_country_name_of_the_api(crowd: list[dict[str, Any]]) -> None:
    assert set(people.NATIONALITIES) == set(COUNTRIES)
    assert {user["nat"]: user["location"]["country"] for user in crowd} == COUNTRIES


def test_the_variety_that_breaks_naive_code_is_there(crowd: list[dict[str, Any]]) -> None:
    names = " ".join(f"{user['name']['first']} {user['name']['last']}" for user in crowd)
    for what in ("[а-яА-Я]", "[\u0600-\u06ff]", "[\u0900-\u097f]", "[éüøñ]", "'", "’", "-"):
        assert re.search(what, names), what
    postcodes = [user["location"]["postcode"] for user in crowd]
    assert any(isinstance(code, int) for code in postcodes)
    assert any(isinstance(code, str) and code.startswith("0") for code in postcodes)
    assert any(isinstance(code, str) and re.search("[A-Z]", code) for code in postcodes)
    assert all(re.fullmatch(r"[A-Z]\d\d [A-Z]\d\d-\d{4}", user["phone"]) for user in crowd if user["nat"] == "CA")
    assert any(user["dob"]["date"] < "1970" for user in crowd)
    assert 0.05 < sum(user["id"]["value"] is None for user in crowd) / len(crowd) < 0.5
    assert {user["gender"] for user in crowd} == {"female", "male"}


@pytest.mark.parametrize("seed", ["bench", "another seed", "ünï"])
def test_users_weigh_what_the_real_ones_do(seed: str) -> None:
    sizes = [len(user) for user in people.users(seed, range(20_000))]
    assert 1_050 <= sum(sizes) / len(sizes) <= 1_110


def test_a_hundred_thousand_keys_are_distinct_uuids_of_version_4() -> None:
    key = re.compile(rb'"uuid":"([^"]+)"')
    keys = [match[1].decode() for user in people.users("keys", range(100_000)) if (match := key.search(user))]
    assert len(set(keys)) == 100_000
    assert all(str(uuid.UUID(text)) == text and uuid.UUID(text).version == 4 for text in keys[:1_000])
    assert all(uuid.UUID(text).variant == uuid.RFC_4122 for text in keys[:1_000])


def test_keys_differ_by_seed_and_by_nationalities() -> None:
    runs = [("a", ()), ("b", ()), ("a", ("US",)), ("a", ("GB", "US")), ("a1", ())]
    keys = [user["login"]["uuid"] for seed, nations in runs for user in people_of(seed, 50, *nations)]
    assert len(set(keys)) == len(keys)


def test_the_same_user_comes_from_any_cut_and_any_order_of_nationalities() -> None:
    whole = list(people.users("cut", range(300)))
    assert list(people.users("cut", range(120, 180))) == whole[120:180]
    assert people_of("n", 50, "US", "GB") == people_of("n", 50, "GB", "US", "US")
    assert people_of("n", 50, *COUNTRIES) == people_of("n", 50)


def test_a_seed_gives_the_same_bytes_in_every_process() -> None:
    code = "from scripts.source import people; print(b''.join(people.users('p', range(200))).hex())"
    made = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]
    assert made == [b"".join(people.users("p", range(200))).hex()] * 2


def test_keys_stay_what_they_were_in_earlier_versions() -> None:
    keys = [user["login"]["uuid"] for user in people_of("pinned", 2)]
    assert keys == ["07005069-fcb1-4746-80d9-211f40baf300", "5bd9cfae-fcff-4304-a371-d6a27f0c742d"]


def test_nationalities_filter_and_mix() -> None:
    found = Counter(user["nat"] for user in people_of("mix", 2_000, "US", "GB"))
    assert set(found) == {"US", "GB"}
    assert min(found.values()) > 800
    with pytest.raises(KeyError):
        next(people.users("mix", [0], ["XX"]))


# --- broken people


def reasons(record: object) -> tuple[str, ...]:
    """The rules of the flow, written a second time: absent, null or blank; not text; not of its form. Of two names
    one will do, and what is optional costs nobody a record."""
    if not isinstance(record, dict):
        return ("not_an_object",)

    def judge(field: str, *path: str) -> Iterator[str]:
        value: Any = record
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None or (isinstance(value, str) and not value.strip()):
            yield f"missing:{field}"
        elif not isinstance(value, str):
            yield f"not_text:{field}"
        elif field == "id":
            if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) or not uuid.UUID(value).int:
                yield "not_uuid:id"
        elif field == "email":
            if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
                yield "not_email:email"
        elif re.search("[\0-\x1f]", value):
            yield f"control_character:{field}"

    names = [*judge("first_name", "name", "first"), *judge("last_name", "name", "last")]
    if sum(reason.startswith("missing:") for reason in names) == 1:
        names = [reason for reason in names if not reason.startswith("missing:")]
    return (*judge("id", "login", "uuid"), *names, *judge("email", "email"))


def test_nobody_is_invalid_unless_told(crowd: list[dict[str, Any]]) -> None:
    assert list(invalid.users("s", range(200))) == list(people.users("s", range(200)))
    assert not any(invalid.invalid_kind("s", index, 0.0) for index in range(1_000))
    assert {reasons(user) for user in crowd} == {()}


@pytest.mark.parametrize("kind", invalid.KINDS)
def test_each_kind_deserves_the_reasons_it_states(kind: str) -> None:
    for user in people.users("kinds", range(50)):
        assert reasons(json.loads(invalid.broken(user, kind))) == invalid.REASONS[kind]


def test_the_kinds_between_them_give_every_reason_code() -> None:
    codes = {reason.partition(":")[0] for all_reasons in invalid.REASONS.values() for reason in all_reasons}
    assert codes == {"missing", "not_uuid", "not_email", "control_character", "not_text", "not_an_object"}


@pytest.mark.parametrize("share", [0.02, 0.25])
def test_the_share_is_kept_and_every_kind_occurs(share: float) -> None:
    kinds = Counter(invalid.invalid_kind("share", index, share) for index in range(50_000))
    valid = kinds.pop(None)
    assert 1 - valid / 50_000 == pytest.approx(share, rel=0.1)
    assert set(kinds) == set(invalid.KINDS)


def test_all_are_invalid_at_a_share_of_one() -> None:
    assert all(invalid.invalid_kind("s", index, 1.0) for index in range(1_000))


def test_a_greater_share_breaks_the_same_users_alike_and_more() -> None:
    few = {i: kind for i in range(5_000) if (kind := invalid.invalid_kind("s", i, 0.05))}
    many = {i: kind for i in range(5_000) if (kind := invalid.invalid_kind("s", i, 0.2))}
    assert few.items() < many.items()


def test_who_is_broken_and_how_is_the_same_on_every_machine() -> None:
    kinds = {i: kind for i in range(82) if (kind := invalid.invalid_kind("pinned", i, 0.1))}
    assert kinds == {2: "email_two_lines", 64: "email_without_domain", 78: "email_null", 81: "email_null"}


def test_one_kind_alone_has_its_share() -> None:
    kinds = Counter(invalid.invalid_kind("kind", index, 0.0, {"uuid_null": 0.1}) for index in range(20_000))
    assert set(kinds) == {None, "uuid_null"}
    assert kinds["uuid_null"] == pytest.approx(2_000, rel=0.1)


def test_single_kinds_come_beside_the_share_of_all_kinds() -> None:
    by_kind = {"email_null": 0.1, "record_null": 0.2}
    for index in range(5_000):
        in_any = invalid.invalid_kind("beside", index, 0.1)
        found = invalid.invalid_kind("beside", index, 0.1, by_kind)
        assert found == in_any if in_any else found in (None, *by_kind)
    reordered = dict(reversed(by_kind.items()))
    for index in range(500):
        one, other = (invalid.invalid_kind("beside", index, 0.1, kinds) for kinds in (by_kind, reordered))
        assert one == other


def test_only_the_broken_change_and_the_oracle_names_them() -> None:
    whole = list(people.users("mixed", range(1_000)))
    mixed = list(invalid.users("mixed", range(1_000), share=0.1))
    for index, (before, after) in enumerate(zip(whole, mixed, strict=True)):
        kind = invalid.invalid_kind("mixed", index, 0.1)
        assert after == (invalid.broken(before, kind) if kind else before)
        assert (before != after) == (kind is not None)
    assert list(invalid.users("mixed", range(300, 400), share=0.1)) == mixed[300:400]


# --- the API, over a socket


@contextmanager
def source(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the source on a free port: its base URL and its process."""
    command = [sys.executable, "-m", "scripts.source", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            started = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", started)
            assert found, started
            yield found[0], process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with source() as (base, _):
        yield base


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def results(url: str) -> list[Any]:
    status, body = get(url)
    assert status == 200
    found: list[Any] = json.loads(body)["results"]
    return found


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/1.4", "/api/1.4/"])
def test_a_page_holds_the_users_of_its_indices(url: str, path: str) -> None:
    status, body = get(f"{url}{path}?results=7&page=3&seed=s&nat=us,gb")
    page = json.loads(body)
    assert status == 200
    assert page["info"] == {"seed": "s", "results": 7, "page": 3, "version": "1.4"}
    assert page["results"] == [json.loads(user) for user in people.users("s", range(14, 21), ["US", "GB"])]


def test_the_same_request_gives_the_same_bytes(url: str) -> None:
    request = f"{url}/api/?results=600&page=2&seed=same"
    assert get(request) == get(request)


def test_the_same_seed_in_another_page_size_is_the_same_users_cut_anew(url: str) -> None:
    by_ten = [user for page in range(1, 7) for user in results(f"{url}/api/?seed=re&results=10&page={page}")]
    by_thirty = [user for page in range(1, 3) for user in results(f"{url}/api/?seed=re&results=30&page={page}")]
    assert by_ten == by_thirty


def test_defaults_are_one_user_of_a_new_seed(url: str) -> None:
    first, second = (json.loads(get(f"{url}/api/")[1]) for _ in range(2))
    assert len(first["results"]) == 1
    assert first["info"]["page"] == 1
    assert first["info"]["seed"] != second["info"]["seed"]
    assert first["results"] == results(f"{url}/api/?seed={first['info']['seed']}")


def test_more_than_five_thousand_are_clamped(url: str) -> None:
    page = json.loads(get(f"{url}/api/?results=6000&page=2&seed=c")[1])
    assert page["info"]["results"] == len(page["results"]) == 5_000
    assert page["results"][0] == json.loads(next(people.users("c", [5_000])))


def test_a_page_far_out_is_a_page(url: str) -> None:
    assert len(results(f"{url}/api/?results=600&page=900000000000000000&seed=c")) == 600


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("results=abc", "results"),
        ("results=0", "results"),
        ("results=-5", "results"),
        ("results=2.5", "results"),
        ("results=%D9%A3", "results"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=" + "9" * 5_000, "page"),
        ("nat=us,xx", "XX"),
    ],
)
def test_bad_parameters_are_named(url: str, query: str, named: str) -> None:
    status, body = get(f"{url}/api/?{query}")
    assert status == 400
    assert named in json.loads(body)["error"]


def test_an_unknown_path_is_not_found(url: str) -> None:
    status, body = get(f"{url}/apis")
    assert (status, list(json.loads(body))) == (404, ["error"])


def test_health_answers_while_pages_are_made(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        pages = [pool.submit(get, f"{url}/api/?results=5000&seed=load&page={page}") for page in range(1, 25)]
        times = []
        while not all(page.done() for page in pages):
            start = time.perf_counter()
            assert get(f"{url}/health") == (200, b'{"status": "ok"}')
            times.append(time.perf_counter() - start)
            time.sleep(0.005)
    # The median, and generous: a busy machine delays answers for reasons of its own. Behind the pages it were seconds.
    assert sorted(times)[len(times) // 2] < 0.3
    assert len(times) > 5


def test_stats_count_the_pages_and_users_answered() -> None:
    with source() as (url, _):
        for query in ("results=10", "results=20&page=2", "results=abc"):
            get(f"{url}/api/?{query}")
        stats = json.loads(get(f"{url}/stats")[1])
        assert (stats["pages"], stats["users"]) == (2, 30)


def test_the_invalid_share_reaches_the_page(tmp_path: Path) -> None:
    behaviour = tmp_path / "source.json"
    behaviour.write_text('{"invalid_share": 0.2}')
    with source("--behaviour", str(behaviour)) as (url, _):
        served = results(f"{url}/api/?results=500&page=2&seed=bad")
    for index, record in enumerate(served, start=500):
        kind = invalid.invalid_kind("bad", index, 0.2)
        assert reasons(record) == (invalid.REASONS[kind] if kind else ())
    assert 50 < sum(bool(reasons(record)) for record in served) < 150


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_quietly(number: signal.Signals) -> None:
    with source() as (url, process):
        get(f"{url}/api/?results=10")
        process.send_signal(number)
        _, rest = process.communicate(timeout=10)
        assert (process.returncode, rest) == (0, "")


def test_a_taken_port_is_told_in_one_line(url: str) -> None:
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "scripts.source", "--port", port]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert told.returncode == 1
    assert told.stderr == f"source: cannot listen on 127.0.0.1:{port}: Address already in use; use another --port\n"


def test_a_port_that_is_none_is_refused() -> None:
    command = [sys.executable, "-m", "scripts.source", "--port", "70000"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert told.returncode == 2
    assert "--port: not between" in told.stderr
