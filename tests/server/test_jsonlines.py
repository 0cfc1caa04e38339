"""A log as JSON: every line one object of four fields, whoever printed it."""

import json
from datetime import datetime

import pytest

from lungct_tools.server import jsonlines, scribe
from lungct_tools.server.startup import gives_up, read_log

JAVA = b'{"time":"2026-01-01T00:00:00.000Z","level":"WARN","logger":"W","message":"said \\"so\\"\\n\\tat line 2"}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"Model server started.\n", "Model server started."),
        (b'said "so" \\ \x1b[0m\r\n', 'said "so" \\ \x1b[0m'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"a": 1}\n', '{"a": 1}'),  # what a library prints is no line of ours, though it is JSON
        (b"[1]\n", "[1]"),
        (b"\n", ""),
    ],
)
def test_what_is_printed_becomes_a_line_and_nothing_of_it_is_lost(line, message):
    made = jsonlines.convert(line)
    assert made.count(b"\n") == made.endswith(b"\n") == 1
    told = json.loads(made)
    assert (told["level"], told["logger"], told["message"]) == ("INFO", "stdout", message)
    assert datetime.fromisoformat(told["time"]).tzinfo


def test_a_line_of_java_stays_as_it_is():
    assert jsonlines.convert(JAVA + b"\n") == JAVA + b"\n"


def test_a_line_of_the_front_without_torchserve_keeps_its_level_and_logger():
    told = json.loads(jsonlines.convert(b"2026-01-01 00:00:00,250 ERROR lungct.pipeline - Request x failed - y\n"))
    assert (told["level"], told["logger"], told["message"]) == ("ERROR", "lungct.pipeline", "Request x failed - y")
    assert datetime.fromisoformat(told["time"]) == datetime(2026, 1, 1, microsecond=250_000).astimezone()


def test_a_scribe_that_is_asked_for_json_writes_json(tmp_path):
    log = tmp_path / "server.log"
    scribe.begin(log)
    with scribe.start(log, "json") as process:
        process.stdin.write(b"plain\n" + JAVA + b"\n" + b"x" * (jsonlines.LONGEST + 1) + b"\nthe last words")
    assert process.returncode == 0
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert [len(message) for message in messages[2:4]] == [jsonlines.LONGEST, 1], "memory is bounded"
    assert (messages[0], messages[1][:9], messages[-1]) == ("plain", 'said "so"', "the last words")


def test_who_reads_such_a_log_at_a_start_reads_the_same_as_of_text(tmp_path):
    log = tmp_path / "server.log"
    line = "{time} WARN  W - Auto recovery failed again"
    fields = {"time": "t", "level": "WARN", "logger": "W", "message": "Auto recovery failed again"}
    inner = {**fields, "message": "  File x.py"}
    log.write_text("\n".join([json.dumps(fields), json.dumps(inner), line, "Model server started."]))
    assert read_log(log) == ["t WARN W - Auto recovery failed again", line, "Model server started."]
    assert gives_up(log)
