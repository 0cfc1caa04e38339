"""All commands speak one language: the same names for the same things, JSON on request, colours for terminals only."""

import ast
import json
import re
import signal
import subprocess
import sys

import pytest

from lungct_client import ServerError
from lungct_client.address import default_ports
from lungct_tools import ROOT, TOOLS
from lungct_tools.commandline import COMMANDS, add_scoring_options, compose, make_parser
from tests.conftest import run_script
from tests.support.help import show_help

SYNONYMS = {"--output", "--timeout", "--run-dir", "--folder", "--workdir", "--as-json", "--dir"}  # of names we have
SERVER_COMMANDS = (
    "serve",
    "stop",
    "health",
    "predict",
    "status",
    "scale",
    "score",
    "demo",
    "ui",
    "screenshots",
    "exporter",
)


def read_script(name):
    return (TOOLS / f"{COMMANDS[name].replace('.', '/')}.py").read_text()


@pytest.mark.parametrize("name", SERVER_COMMANDS)
def test_commands_that_speak_of_a_server_name_it_the_same_way_and_show_an_example(name):
    text = read_script(name)
    assert re.search(r'add_(run_option|server_options)\(parser|"--run"', text)
    assert re.search(rf"lungct {name}|make {name}", ast.get_docstring(ast.parse(text)))


@pytest.mark.parametrize("name", COMMANDS)
def test_one_thing_has_one_name_in_all_commands(name):
    used = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', read_script(name)))
    assert not used & SYNONYMS


@pytest.mark.parametrize("name", ["predict", "score", "scale"])
def test_a_wrong_option_ends_with_two_and_shows_the_usage(name):
    wrong = run_script(name, "--no-such-option")
    assert wrong.returncode == 2
    assert "usage:" in wrong.stderr


@pytest.mark.parametrize("window", [["--window", "-600,1500"], ["--window=-600,1500"], ["--window", "-.5,400"]])
def test_a_window_may_begin_with_a_minus_as_every_lung_window_does(window):
    parser = make_parser("")
    add_scoring_options(parser, "")
    assert parser.parse_args(window).window == window[-1].removeprefix("--window=")


@pytest.mark.parametrize("window", ["lung", "-600", "40,0", "1,2,3"])
def test_a_window_that_the_server_would_refuse_is_refused_before_anything_is_sent(window, capsys):
    parser = make_parser("")
    add_scoring_options(parser, "")
    with pytest.raises(SystemExit):
        parser.parse_args(["--window", window])
    assert "--window: must be centre,width in HU, such as -500,1500, or the word file." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["predict", "score"])
def test_no_slice_at_a_time_is_no_way_to_score(name, tmp_path):
    done = run_script(name, tmp_path, tmp_path, "--window", "-600,1500", "--concurrency", 0)
    assert done.returncode == 2
    assert "--concurrency: must be 1 or more" in done.stderr


@pytest.mark.server
def test_json_is_one_document_and_nothing_is_coloured_in_a_pipe(server):
    commands = (("status",), ("health", "ready"), ("health", "live"), ("scale", 1))
    for name, *arguments in commands:
        shown = run_script(name, *arguments, "--json", "--run", server.run)
        assert shown.returncode == 0, shown.stderr
        assert set(json.loads(shown.stdout)) & {"ready", "live"}
        plain = run_script(name, *arguments, "--run", server.run)
        assert "\x1b" not in plain.stdout


def test_scoring_a_folder_starts_without_loading_torch_or_streamlit():
    heavy = {"torch", "streamlit", "pyarrow", "pydicom"}
    code = f"import sys, lungct_tools.folder.score; sys.exit(str({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr.strip() == "set()"


def test_the_page_listens_on_loopback_sends_no_statistics_and_takes_what_a_session_may_hold():
    from lungct_tools.page.app import make_command

    command = make_command(8501)
    assert "--server.address=127.0.0.1" in command
    assert "--browser.gatherUsageStats=false" in command
    assert "--server.maxUploadSize=512" in command
    assert "ZIPs up to 512 MB" in show_help("ui").stdout


@pytest.mark.server
def test_ctrl_c_ends_predict_with_a_sentence_and_its_rows_are_whole(server, tmp_path, slices):
    for number in range(400):
        (tmp_path / f"{number}.png").write_bytes(slices[number % len(slices)])
    command = compose("predict", tmp_path, "--json", "--run", server.run)
    told = tmp_path.with_suffix(".stderr")
    with (
        told.open("w") as stream,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True, cwd=ROOT) as process,
    ):
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()  # not communicate(): it skips what readline() has taken into its buffer
    rows, said = [json.loads(line) for line in (first + rest).splitlines()], told.read_text()
    assert process.returncode == 130
    counted = int(re.search(r"stopped after (\d+) of 400 files", said)[1])
    assert len(rows) - 1 <= counted <= len(rows)  # it may come between a row and its count
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "ports", ["8080,8081,8082,7070,7071", "1 2 3", "0 1 2 3 4", "1 1 2 3 4", "1 2 3 4 99999", "1 2 3 4 ٥"]
)
def test_ports_that_are_none_are_told_in_a_sentence(ports, monkeypatch):
    monkeypatch.setenv("LUNG_CT_PORTS", ports)
    with pytest.raises(ServerError, match="five different ports"):
        default_ports()


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--ports", 99999, 1, 2, 3, 4),
        ("serve", "--ports", 0, 1, 2, 3, 4),
        ("serve", "--ports", 1, 1, 2, 3, 4),
        ("exporter", "--port", 99999),
        ("exporter", "--port", -1),
        ("exporter", "--address", "nowhere.invalid"),
        ("ui", "--port", 99999),
        ("pacs", "listen", "--port", 99999),
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_a_place_to_listen_at_that_is_none_is_told_without_a_traceback(words, tmp_path):
    done = run_script(*words, "--run", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert re.search("must be 0 to 65535|five different ports|choose another --port, or --address", done.stderr)


def test_commands_tell_of_wrong_ports_without_a_traceback(monkeypatch, tmp_path):
    monkeypatch.setenv("LUNG_CT_PORTS", "8080,8081")
    done = run_script("serve", "--run", tmp_path)
    assert (done.returncode, "LUNG_CT_PORTS must be five different ports" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
