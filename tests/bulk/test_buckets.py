"""A bulk run over a real S3 server: the rows of a run over files, and in a sentence why it cannot be."""

import csv
import json
import os
import re
import sys
import threading
from collections import Counter

import pytest

from lungct_tools.bulk import parts as parts_module
from lungct_tools.bulk.bucket import Address, connect
from lungct_tools.bulk.faults import BucketError
from lungct_tools.bulk.listing import list_series
from lungct_tools.bulk.manifest import Manifest, write_manifest
from lungct_tools.bulk.parts import Parts
from lungct_tools.bulk.place import parse_place
from lungct_tools.bulk.plan import Plan, read_plan
from lungct_tools.bulk.scoring import score_shard
from lungct_tools.bulk.shard import Shard
from lungct_tools.bulk.source import open_input
from lungct_tools.folder.journal import JournalError
from lungct_tools.folder.scoring import Order, Run
from lungct_tools.packages import lacking
from lungct_tools.phantom.series import draw_volume
from tests.support.buckets import KEYS, serving
from tests.support.dicoms import build_ct
from tests.support.rows import CLASSES

ORDER = Order("none", None, False, CLASSES, "1")
ALL = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


@pytest.fixture(scope="module")
def started():
    with serving() as found:
        yield found


@pytest.fixture
def use(monkeypatch):
    """Reach buckets by these variables, and by no others."""

    def choose(variables):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        connect.cache_clear()

    yield choose
    connect.cache_clear()


@pytest.fixture
def buckets(started, use):
    use(started.variables)
    yield started
    started.reset()


@pytest.fixture(scope="module")
def bodies(slices):
    """Files by name: two series, pictures, names of all kinds, what is no slice."""
    found = {f"ct/{name}/{n}.dcm": body for name in "ab" for n, body in enumerate(draw_volume(3, size=128, name=name))}
    found |= {"ct-1.png": slices[0], "ct/ü %20 +*.png": slices[1], "empty.png": b"", "junk": b"\x93junk"}
    return found | {"cut.dcm": found["ct/a/0.dcm"][:-900], "large/CT": b"\0" * 100_000}


def list_files(place, at):
    """The manifest of a place."""
    source, root = open_input(place)
    write_manifest(list_series(source, 1), root, at)
    return Manifest(at)


def score(manifest, out, core, stop=None):
    """All of a manifest; the parts."""
    parts = Parts(out, manifest, 1)
    score_shard(Run(manifest, parts, core, ORDER, 1, stop or threading.Event()), parts, Shard(0, 1))
    return parts


def strip(line):
    """A row without what tells the state of a file: an object's would be one more request."""
    return json.dumps({**json.loads(line), "stamp": ""} if b'"stamp"' in line else json.loads(line))


def test_a_run_over_a_bucket_has_the_rows_of_one_over_files_to_the_byte(buckets, bodies, core, tmp_path, run_here):
    for name, body in bodies.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(body)
    parts = score(list_files(tmp_path / "in", tmp_path / "m"), tmp_path / "out", core)
    expected = [strip(line) for path in parts.path.rglob("*.jsonl") for line in path.read_bytes().splitlines()]

    noise = {"": b"", "ct/": b"", "ct/a/": b"", ".hidden/a.png": b"a", "ct/Thumbs.db": b"a"}
    buckets.fill("scans", {f"study/{name}": body for name, body in (bodies | noise).items()} | {"study-2/a.png": b"a"})
    buckets.fill("results", {})
    assert run_here("bulk", "list", "s3://scans/study", "s3://results/a/manifest", "--processes", 2) == (0, "")
    for index in range(2):
        assert run_here("bulk", "run", "s3://results/a/manifest", "s3://results/out", "--shard", f"{index}/2") == (
            0,
            "",
        )
    assert run_here("bulk", "gather", "s3://results/out") == (1, ""), "some are refused"

    written = buckets.read("results")
    rows = [line for key, body in written.items() if key.endswith(".jsonl") for line in body.splitlines()]
    assert sorted(json.dumps(json.loads(line)) for line in rows) == sorted(expected)
    assert all(json.dumps(json.loads(line), separators=(",", ":")).encode() == line for line in rows)
    kinds = {key.rpartition("/")[2] for key in written}
    assert kinds >= {"manifest", "run.json", "slices.csv", "slices.parquet", "series.csv", "summary.html"}
    table = list(csv.DictReader(written["out/slices.csv"].decode().splitlines()))
    assert sorted(line["file"] for line in table) == sorted(bodies)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in json.dumps([body.decode("latin-1") for body in written.values()])


def test_what_stands_in_a_bucket_is_not_scored_again(buckets, bodies, core, stopping, monkeypatch):
    monkeypatch.setattr(parts_module, "PART", 4)
    buckets.fill("scans", bodies)
    buckets.fill("results", {})
    manifest = list_files(Address("s3://scans"), Address("s3://results", "m"))
    stop, asked = stopping
    parts = score(manifest, Address("s3://results", "out"), core, stop)
    assert parts.find_missing() == [0]
    standing = len([key for key in buckets.read("results") if key.startswith("out/")])
    assert standing >= 2
    asked.clear()
    rows = list(score(manifest, Address("s3://results", "out"), core).rows())
    assert len(asked) <= len(bodies) - 4 * standing
    assert rows == list(score(manifest, Address("s3://results", "whole"), core).rows())


def test_a_file_costs_one_request_to_list_and_one_to_score(buckets, core, caplog):
    buckets.fill("scans", {f"a/{number}": build_ct(SeriesInstanceUID="1.2") for number in range(7)})
    buckets.fill("results", {})
    caplog.set_level("INFO", "werkzeug")

    def ask(deed):
        caplog.clear()
        found = deed()
        said = " ".join(record.getMessage() for record in caplog.records)
        return found, Counter((verb, bucket) for verb, bucket in re.findall(r"([A-Z]+) /(\w+)\S* HTTP", said))

    manifest, asked = ask(lambda: list_files(Address("s3://scans"), Address("s3://results", "m")))
    assert asked[("GET", "scans")] == 7 + 1 + 1, "a list of all, and the look whether there is a root"
    _, asked = ask(lambda: score(manifest, Address("s3://results", "out"), core))
    assert (asked[("GET", "scans")], asked[("PUT", "results")]) == (7, 1)
    assert not [verb for verb, _ in asked if verb == "HEAD"]


def test_without_its_package_a_bucket_names_the_extra(buckets, monkeypatch, run_here):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setattr(lacking, "has", lambda package: package != "obstore")
    code, said = run_here("bulk", "list", "s3://scans", "m")
    assert (code, said.count("\n"), "`make setup EXTRAS=s3` adds the extra s3" in said) == (2, 1, True), said


def test_processes_agree_on_one_plan_in_a_bucket(buckets):
    buckets.fill("results", {})
    out, plan = Address("s3://results", "out"), Plan(ORDER, "model", "manifest", 4)
    with pytest.raises(JournalError, match="no bulk run"):
        read_plan(out)
    plan.keep(out, Address("s3://scans", "m"))
    plan.keep(out, Address("s3://scans", "elsewhere"))
    assert read_plan(out) == (plan, Address("s3://scans", "m"))
    with pytest.raises(JournalError, match="another shards"):
        Plan(ORDER, "model", "manifest", 5).keep(out, Address("s3://scans", "m"))


def test_an_object_that_alone_may_not_be_read_is_a_row_and_a_bucket_that_may_not_be_is_none(buckets, use, core):
    buckets.fill("scans", {"a/1": b"\x93junk", "a/2": b"\x93junk", "a/3": b"\x93junk"})
    secret = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::scans/a/2"}
    use(buckets.guard(ALL, secret))
    manifest = list_files(Address("s3://scans", "a"), Address("s3://scans", "m"))
    rows = {row["file"]: row for row in score(manifest, Address("s3://scans", "out"), core).rows()}
    assert [rows[name]["error"] for name in "123"] == ["unsupported_format", "unreadable_file", "unsupported_format"]
    assert rows["2"]["message"] == "The file cannot be read: Permission denied."
    entry = next(manifest.entries())
    use(buckets.variables)  # a key that nobody knows any more
    with pytest.raises(BucketError, match="InvalidAccessKeyId"):
        manifest.read(entry)


def test_a_manifest_that_is_replaced_is_not_read_on(buckets, monkeypatch):
    monkeypatch.setattr("lungct_tools.bulk.bucket.READ_AT_ONCE", 64)
    buckets.fill("scans", {f"{number:03}": b"junk" for number in range(9)})
    manifest = list_files(Address("s3://scans"), Address("s3://scans", "m"))
    files = manifest.read_shard(Shard(0, 1))
    next(files)
    buckets.client().put_object(Bucket="scans", Key="m", Body=buckets.read("scans")["m"].replace(b"00", b"11"))
    with pytest.raises(BucketError, match="replaced"):
        list(files)


REFUSALS = {
    "no credentials": ("list s3://scans m", dict.fromkeys(KEYS, ""), 2, "set AWS_ACCESS_KEY_ID"),
    "half of them": ("list s3://scans m", {"AWS_SECRET_ACCESS_KEY": ""}, 2, "set AWS_ACCESS_KEY_ID"),
    "no bucket": ("list s3://nonesuch m", {}, 2, "no bucket s3://nonesuch"),
    "no bucket to read": ("run s3://nonesuch/m out", {}, 2, "no bucket s3://nonesuch"),
    "no manifest": ("run s3://scans/m out", {}, 2, "cannot be read"),
    "no run": ("gather s3://scans/out", {}, 2, "no bulk run"),
    "nothing there": ("list s3://scans/nothing m", {}, 2, "no files"),
    "no server": ("list s3://scans m", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 3, "later"),
    "no TLS": ("list s3://scans m", {"AWS_ENDPOINT_URL": "http://192.0.2.1:9"}, 2, "without TLS"),
    "no endpoint": ("list s3://scans m", {"AWS_ENDPOINT_URL": "127.0.0.1:9 a"}, 2, "https://HOST:PORT"),
    "no account": ("list abfs://scans m", {}, 2, "AZURE_STORAGE_ACCOUNT_NAME"),
    "no name": ("list s3:// m", {}, 2, "leads nowhere"),
    "a key": ("list s3://key:secret-that-nobody-shows@scans m", {}, 2, "No credentials in s3://"),
    "another scheme": ("list ftp://scans m", {}, 2, "leads nowhere"),
    "a step upwards": ("list s3://scans/a/../b m", {}, 2, "without"),
    "inside": ("list s3://scans/a s3://scans/a/m", {}, 2, "lies inside IN"),
    "a name that is no path": ("list s3://odd m", {}, 2, "rename"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_why_a_bucket_cannot_be_used_is_told_in_a_sentence(name, buckets, use, tmp_path, monkeypatch, run_here):
    words, variables, code, sentence = REFUSALS[name]
    monkeypatch.chdir(tmp_path)
    buckets.fill("scans", {"a/1": b"junk"})
    buckets.fill("odd", {"a//1": b"junk"})
    use({name: value for name, value in (buckets.variables | variables).items() if value})
    told, said = run_here("bulk", *words.split(), *(["--processes", 1] if words.startswith("list") else []))
    assert (told, said.count("\n"), sentence in said) == (code, 1, True), said
    assert not any(value in said for value in KEYS.values())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", ["list s3://scans m --processes 1", "run s3://scans/m out", "gather s3://scans/out"])
def test_who_may_not_reads_that_and_what_else_the_server_said_stays_unsaid(
    words, buckets, use, tmp_path, monkeypatch, run_here
):
    monkeypatch.chdir(tmp_path)
    buckets.fill("scans", {"a": b"junk", "m": b"junk", "out/run.json": b"junk"})
    keys = buckets.guard()
    for variables, reason in ((keys, "AccessDenied"), (keys | {"AWS_SECRET_ACCESS_KEY": "x"}, "")):
        use(variables)
        code, said = run_here("bulk", *words.split())
        assert (code, said.count("\n"), reason in said, "may not be used" in said) == (2, 1, True, True), said
        assert not any(value in said for value in (keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"]))


def test_what_is_no_address_is_a_path():
    assert parse_place("s3://a/b/c/") == Address("s3://a", "b/c")
    assert parse_place("s3://a") == Address("s3://a")
    assert [str(parse_place(text)) for text in ("a/b", "C:\\a", "/s3:/a")] == ["a/b", "C:\\a", "/s3:/a"]
    assert str(Address("s3://a", "b/c").parent / "d") == "s3://a/b/d"
