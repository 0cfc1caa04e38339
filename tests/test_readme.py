"""README cannot lie.

Its console and python blocks run in order and its JSON sample has the fields of a real reply; of its other commands,
and those of the other pages, the targets, commands and options exist.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from lungct.errors import STATUS
from lungct.exchange.request import CHOICES
from lungct.model.folder import load_model_folder
from lungct_client import DEFAULT_PORTS
from lungct_tools import ROOT
from lungct_tools.commandline import COMMANDS
from lungct_tools.documents.formats import format_table
from lungct_tools.modelling.reproduction import list_trainings
from lungct_tools.server.instance import find_ports
from tests.conftest import MODEL
from tests.support.help import outside_make, show_help

README = (ROOT / "README.md").read_text()
PAGES = "".join(
    (ROOT / "docs" / f"{name}.md").read_text()
    for name in (
        "api",
        "installation",
        "operations",
        "runbook",
        "performance",
        "configuration",
        "training",
        "bulk",
        "kserve",
        "leaving-torchserve",
    )  # fmt: skip
)
TRAINING = (ROOT / "docs" / "training.md").read_text()


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shape(value):
    """A document with its values replaced by what kind they are; lists by the kind of their first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """README's run folder and ports, moved to where nothing else is."""
    run = tmp_path_factory.mktemp("readme")
    ports = find_ports(5)
    ours = {"LUNG_CT_RUN": str(run), "LUNG_CT_PORTS": " ".join(map(str, ports)), "COLUMNS": "120"}
    environment = {**outside_make(), **ours}

    def move(text):
        for before, after in zip(DEFAULT_PORTS, ports, strict=True):
            text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
        return text.replace(".run/", f"{run}/").replace('".run"', f'"{run}"')

    yield run, move, environment
    subprocess.run(["make", "stop"], env=environment, cwd=ROOT, check=True)


@pytest.mark.server
def test_every_command_and_code_block_of_readme_works_in_order(place):
    run, move, environment = place
    outputs = {}
    for language, text in re.findall(r"^```(console|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        if language == "python":
            steps = [[sys.executable, "-c", move(text)]]
        else:
            steps = [["bash", "-euo", "pipefail", "-c", move(line[2:])] for line in text.splitlines()]
            assert all(line.startswith("$ ") for line in text.splitlines())
        for step in steps:
            done = subprocess.run(
                step, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
            )
            assert done.returncode == 0, f"{step[-1]}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            outputs[step[-1]] = done.stdout
    reply = json.loads(next(out for command, out in outputs.items() if "X-Heatmap: always" in command))
    assert shape(json.loads(blocks("json")[0])) == shape(reply)
    assert (run / "overlay.png").stat().st_size > 10_000
    assert (run / "my_overlay.png").stat().st_size > 10_000
    assert (run / "overlay.jpg").stat().st_size > 10_000
    demo = next(out for command, out in outputs.items() if command == "make demo")
    assert "Research use only" in demo
    assert "make scale" in demo


def test_every_error_code_and_option_value_is_in_readme():
    for code in STATUS:
        assert f"`{code}`" in README, code
    for name, values in CHOICES.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `X-{name.replace('_', '-').title()}`"))
        assert all(f"`{value}`" in row for value in values), name


def test_readme_is_short_and_its_links_lead_somewhere():
    assert len(README.splitlines()) <= 250
    for page, text in (
        ("README.md", README),
        *((f"docs/{path.name}", path.read_text()) for path in (ROOT / "docs").glob("*.md")),
    ):
        for link in re.findall(r"\]\(([^)#:]+)[^)]*\)", text):
            assert (ROOT / page).parent.joinpath(link).exists(), f"{page}: {link}"


def test_the_table_of_formats_is_what_the_code_accepts():
    assert format_table() in README


def commands():
    """Lines of the sh blocks without their remarks, and what stands in backticks."""
    lines = "".join(blocks("sh", README + PAGES)).replace("\\\n", "").splitlines()
    quoted = re.findall(r"`([^`\n]+)`", README + PAGES)
    return [*(line.partition(" #")[0] for line in lines), *quoted]


def test_every_make_target_command_and_option_that_the_pages_name_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    called = dict(re.findall(r"^([a-z-]+):.*\n\t.*\$\(LUNGCT\) ([a-z]+)", makefile, re.MULTILINE))
    options = defaultdict(set)
    for command in commands():
        made = re.findall(r"(?:^|&& )make ([a-z-]+)", command)
        assert set(made) <= targets, command
        named = re.findall(r"\blungct ([a-z]+)", command) + [called[each] for each in made if each in called]
        assert set(named) <= COMMANDS.keys(), command
        for name in named:
            options[name].update(re.findall(r"--[a-z-]+", command))
    assert sum(map(len, options.values())) > 8
    used = [name for name in options if options[name]]
    with ThreadPoolExecutor(2) as pool:
        shown = pool.map(lambda name: show_help(name).stdout, used)
    for name, text in zip(used, shown, strict=True):
        assert not [option for option in options[name] if not re.search(rf"{option}\b", text)], name


def test_every_command_from_audit_to_card_takes_its_options_and_gets_as_far_as_the_data(tmp_path, run_here):
    """On an empty folder: what they do with data is tested with their own, and the training alone takes hours."""
    lines = [line.partition(" #")[0] for line in "".join(blocks("sh", TRAINING)).splitlines() if "DIR" in line]
    assert [line.split()[1] for line in lines] == ["audit", "train", "quantize", "evaluate"]
    minutes = sum(each["minutes"] for each in list_trainings(load_model_folder(MODEL).contract.training))
    assert f"{minutes:.0f} minutes" in TRAINING
    (tmp_path / "data").mkdir()
    mine = shutil.copytree(MODEL, tmp_path / "mine")
    for line in lines:
        dry = line.replace("make ", "make --dry-run ", 1)
        shown = subprocess.run(["bash", "-c", dry], env=outside_make(), capture_output=True, text=True, check=True)
        name, *options = shlex.split(shown.stdout.splitlines()[-1])[1:]
        places = {"DIR": tmp_path / "data", "FILE": tmp_path / "start.pth", "model_store/mine": mine}
        code, said = run_here(name, *(places.get(word, word) for word in options))
        assert (code, "has no cases.csv" in said) == (2, True), f"{line}\n{said}"


def test_no_path_of_a_machine_and_no_registry_host_is_in_the_project():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split(
        "\n"
    )
    telling = re.compile(rb"/[w]ork/|/[h]ome/\w|[p]ypi\.org|[p]ythonhosted|[d]eb\.debian|[n]pmjs\.")
    found = [name for name in tracked if name and telling.search((ROOT / name).read_bytes())]
    assert not found
