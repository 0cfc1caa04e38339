"""config/config.properties with what an instance adds, in the spelling that Java reads."""

from __future__ import annotations

import struct
from pathlib import Path

from lungct_client import ServerError
from lungct_tools import ROOT
from lungct_tools.server.instance import Instance
from lungct_tools.server.runfolder import write_whole

SETTINGS = ROOT / "config" / "config.properties"
UNHEARD = {
    "model_store": "say --store, whose archive is held against its seal",
    "plugins_path": "no plugins are loaded here",
}


def write_settings(instance: Instance, store: Path, chosen: list[str]) -> Path:
    """config/config.properties with this instance's addresses, paths and `chosen` KEY=VALUE, in its run folder.

    Raises:
        ServerError: a setting of these would not be heeded, or is none.
    """
    check(chosen)
    inference, management, metrics, grpc_inference, grpc_management = instance.ports
    added = {
        "inference_address": f"http://127.0.0.1:{inference}",
        "management_address": f"http://127.0.0.1:{management}",
        "metrics_address": f"http://127.0.0.1:{metrics}",
        "grpc_inference_address": "127.0.0.1",
        "grpc_management_address": "127.0.0.1",
        "grpc_inference_port": grpc_inference,
        "grpc_management_port": grpc_management,
        "model_store": store,
        "workflow_store": instance.run / "no-workflows",
        "metrics_config": ROOT / "config" / "metrics.yaml",
    }
    lines = [f"{key}={value}" for key, value in added.items()]
    # Of a key that stands twice the last one counts.
    text = "\n".join([SETTINGS.read_text(), *lines, *chosen, ""])
    write_whole(instance.settings, escape(text))
    return instance.settings


def check(chosen: list[str]) -> None:
    """ServerError for what is no KEY=VALUE, and for a key, here or in the file, that nothing would heed."""
    if odd := [each for each in chosen if not each.partition("=")[0].strip() or "=" not in each or "\n" in each]:
        raise ServerError(f"--set {odd[0]} is no KEY=VALUE.")
    given = read_properties(escape("\n".join([SETTINGS.read_text(), *chosen])))
    if unheard := UNHEARD.keys() & given.keys():
        key = min(unheard)
        raise ServerError(f"The setting {key} is not heeded: {UNHEARD[key]}; leave it out.")


def escape(text: str) -> str:
    """Text as Java's properties want it: what is not ASCII as \\uXXXX, by units of UTF-16."""

    def spell(letter: str) -> str:
        return "".join(f"\\u{unit:04x}" for (unit,) in struct.iter_unpack(">H", letter.encode("utf-16-be")))

    return "".join(letter if letter.isascii() else spell(letter) for letter in text)


def read_properties(text: str) -> dict[str, str]:
    """The settings in a file as `write_settings` writes it; of a key that stands twice the last one counts."""
    plain = text.encode("ascii").decode("raw_unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
    pairs = (line.partition("=") for line in plain.splitlines() if line and line[0] != "#")
    return {key.strip(): value.strip() for key, _, value in pairs}
