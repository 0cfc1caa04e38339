"""The dashboard as a file: Grafana reads all of it, and is provisioned with what it asks for."""

import json

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from lungct_tools import ROOT

DASHBOARD = json.loads((ROOT / "config" / "grafana" / "dashboards" / "lung_ct.json").read_text())
PROVISIONING = ROOT / "config" / "grafana" / "provisioning"
PROMETHEUS = yaml.safe_load((ROOT / "config" / "prometheus" / "prometheus.yml").read_text())

pytestmark = pytest.mark.ops


def test_the_dashboard_keeps_every_field_when_grafanas_own_types_read_and_write_it():
    written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert find_lost(DASHBOARD, written) == []


def find_lost(before, after, place="$"):
    """Places in `before` whose value is not the same in `after`; what `after` adds does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [lost for key in before for lost in find_lost(before[key], after.get(key), f"{place}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            lost for i, pair in enumerate(zip(before, after, strict=True)) for lost in find_lost(*pair, f"{place}[{i}]")
        ]
    return [] if before == after else [place]


def test_panels_do_not_overlap_and_have_their_own_ids():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for box in (panel["gridPos"] for panel in panels)
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_grafana_is_provisioned_with_the_source_that_the_dashboard_asks_for():
    source = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    chosen = {v["name"]: v["current"]["value"] for v in DASHBOARD["templating"]["list"]}
    assert source["uid"] == chosen["datasource"]
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]
