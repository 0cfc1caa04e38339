"""Rules, alerts, runbook and dashboard as files: they agree with each other, the settings and the model card."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from lungct_client import DEFAULT_PORTS
from lungct_tools import ROOT
from lungct_tools.commandline import COMMANDS
from lungct_tools.operate.exporter import CANARY_TIMEOUT_S, DESCRIBE_TIMEOUT_S, GATEWAY_TIMEOUT_S
from lungct_tools.server.instance import EXPORTER_PORT
from lungct_tools.server.ledger import TIMEOUT_S
from tests.conftest import MODEL
from tests.support.promql import find_expressions, find_metrics, find_unsummed

FOLDER = ROOT / "config" / "prometheus"
CONFIG = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "dashboards" / "lung_ct.json").read_text())
PROVISIONING = ROOT / "config" / "grafana" / "provisioning"

pytestmark = pytest.mark.ops


def read_rules(kind):
    """Name -> rule of every "alert" or "record" of the files that Prometheus loads; a name's later ones follow it."""
    groups = [group for name in CONFIG["rule_files"] for group in yaml.safe_load((FOLDER / name).read_text())["groups"]]
    rules = [rule for group in groups for rule in group["rules"] if kind in rule]
    return {rule[kind] + json.dumps(rule.get("labels", {})) * (kind == "record"): rule for rule in rules}


ALERTS = read_rules("alert")
RULES = [*ALERTS.values(), *read_rules("record").values()]
RECORDED = {rule["record"]: rule for rule in RULES if "record" in rule}
METRICS = yaml.safe_load((ROOT / "config" / "metrics.yaml").read_text())
VERSIONED = {
    metric["name"]
    for metrics in METRICS["ts_metrics"].values()
    for metric in metrics
    if "model_version" in metric["dimensions"]
}


def find_threshold(alert):
    return float(re.search(r"> ([0-9.]+)", ALERTS[alert]["expr"])[1])


def promtool(*arguments):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_prometheus_accepts_settings_and_rules():
    checked = promtool("check", "config", FOLDER / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", sorted((FOLDER / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path):
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_autoscalers_query_gives_the_mean_wait_of_each_pod_and_refusals_do_not_thin_it_out(tmp_path):
    (rule,) = yaml.safe_load((ROOT / "config" / "kubernetes" / "prometheus" / "adapter.yaml").read_text())["rules"][
        "custom"
    ]
    filled = {"<<.GroupBy>>": "pod", "<<.LabelMatchers>>": 'namespace="lung-ct",pod=~"busy|idle"'}
    query = re.sub("<<.+?>>", lambda hole: filled[hole[0]], rule["metricsQuery"])

    def rising(metric, pod, step, **labels):
        told = {"namespace": "lung-ct", "pod": pod, **labels}
        series = ",".join(f'{name}="{value}"' for name, value in told.items())
        return {"series": f"{metric}{{{series}}}", "values": f"0+{step}x20"}

    case = {
        "interval": "15s",
        "input_series": [
            rising("ts_queue_latency_microseconds", "busy", 10_000_000),
            rising("ts_inference_requests_total", "busy", 1000),
            rising("lung_ct_requests_total", "busy", 16, Outcome="report"),
            rising("lung_ct_requests_total", "busy", 4, Outcome="canary"),
            rising("ts_queue_latency_microseconds", "idle", 0),
            rising("lung_ct_requests_total", "idle", 0, Outcome="report"),
        ],
        "promql_expr_test": [
            {"expr": query, "eval_time": "4m", "exp_samples": [{"labels": '{pod="busy"}', "value": 0.5}]}
        ],
    }
    (tmp_path / "adapter.yml").write_text(yaml.safe_dump({"tests": [case]}))
    tested = promtool("test", "rules", tmp_path / "adapter.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_is_tested_firing_and_not_firing():
    fires, stays = set(), set()
    for path in (FOLDER / "tests").glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for expected in case.get("alert_rule_test", []):
                (fires if expected.get("exp_alerts") else stays).add(expected["alertname"])
    assert fires == stays == set(ALERTS)


def test_every_alert_has_its_paragraph_in_the_runbook_and_a_row_on_the_page_of_operations():
    paragraphs = dict(re.findall(r"^## (\w+)\n\n(.+?)(?=\n\n## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
    page = (ROOT / "docs" / "operations.md").read_text()
    assert set(paragraphs) == set(ALERTS)
    for name, rule in ALERTS.items():
        link = "{{ $externalLabels.runbooks }}/docs/runbook.md#"
        assert rule["annotations"]["runbook_url"] == link + name.lower()
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert len(paragraphs[name]) > 200, name
        assert f"| `{name}` | {rule['labels']['severity']} |" in page, name


def test_a_link_to_the_runbook_is_absolute_and_where_it_begins_is_no_label_of_the_alert():
    assert CONFIG["global"]["external_labels"]["runbooks"].startswith("https://")
    assert {"regex": "runbooks", "action": "labeldrop"} in CONFIG["alerting"]["alert_relabel_configs"]


def test_both_windows_of_a_burn_are_recorded_and_the_short_one_is_a_twelfth_of_the_long_one():
    minutes = {"m": 1, "h": 60, "d": 1440}
    for name in ("LungCTBudgetFast", "LungCTBudgetSlow"):
        pairs = re.findall(r"burn(\d+)(\w) > (\d[\d.]*) and lung_ct:slo:burn(\d+)(\w) > (\S+?)\)", ALERTS[name]["expr"])
        assert len(pairs) == 2
        for long, unit, factor, short, smaller, same in pairs:
            assert (int(long) * minutes[unit], factor) == (12 * int(short) * minutes[smaller], same)


def test_alertmanager_takes_the_example_and_it_names_our_alerts():
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed: apt-get install prometheus-alertmanager")
    example = FOLDER / "alertmanager.yml"

    def amtool(*arguments):
        return subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)

    checked = amtool("check-config", str(example))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for severity, receiver in {"page": "pager", "ticket": "tickets"}.items():
        routed = amtool("config", "routes", "test", f"--config.file={example}", f"severity={severity}")
        assert routed.stdout.split() == [receiver]
    assert set(re.findall(r"LungCT\w+", example.read_text())) <= set(ALERTS)


def test_scripts_and_targets_that_the_runbook_names_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", RUNBOOK)) <= targets
    assert set(re.findall(r"\blungct ([a-z]+)", RUNBOOK)) <= COMMANDS.keys()


def test_prometheus_scrapes_the_ports_that_server_and_exporter_listen_on():
    targets = {job["job_name"]: job["static_configs"][0] for job in CONFIG["scrape_configs"]}
    assert targets["lung_ct"]["targets"] == [f"127.0.0.1:{DEFAULT_PORTS[2]}"]
    assert targets["lung_ct_exporter"]["targets"] == [f"127.0.0.1:{EXPORTER_PORT}"]
    assert len({job["labels"]["server"] for job in targets.values()}) == 1


def test_a_scrape_outlasts_the_exporters_own_timeouts():
    limit = int(CONFIG["global"]["scrape_timeout"].rstrip("s"))
    assert limit > CANARY_TIMEOUT_S + DESCRIBE_TIMEOUT_S
    assert limit > 3 * GATEWAY_TIMEOUT_S + TIMEOUT_S, "it connects, shakes hands and asks, and then for counts"


def test_drift_tolerances_are_wider_than_the_model_cards_own_uncertainty():
    judged = json.loads((MODEL / "evaluation.json").read_text())["reports"]["all"]
    for alert, name in {"LungCTReferDrift": "reported", "LungCTConfidenceDrift": "confidence"}.items():
        assert find_threshold(alert) > max(abs(bound - judged[name]) for bound in judged["intervals"][name])


def test_rules_and_alerts_use_each_others_names_only():
    """A misspelt recording rule would never fire and never complain."""
    for rule in RULES:
        used = {name for name in find_metrics(rule["expr"]) if ":" in name}
        assert used <= set(RECORDED), rule


def test_rules_and_dashboard_add_up_over_the_versions_in_the_path():
    """/predictions/lung_ct and /predictions/lung_ct/1.0 are two series: without a sum an alert sees half of each."""
    for name, expression in {
        "ts_queue_latency_microseconds": "rate(ts_queue_latency_microseconds[5m])",
        "ts_inference_requests_total": "sum by (model_version) (ts_inference_requests_total)",
    }.items():
        assert find_unsummed(expression, VERSIONED) == {name}
    expressions = [rule["expr"] for rule in RULES]
    expressions += [expression for _, expression in find_expressions(DASHBOARD)]
    assert set().union(*map(find_metrics, expressions)) & VERSIONED
    for expression in expressions:
        assert not find_unsummed(expression, VERSIONED), expression


def test_every_metric_is_found_wherever_it_stands_in_an_expression():
    found = find_metrics("sum by (x) (rate(a[5m] offset 1h)) / on (x) (-b or vector(0)) > max_over_time((c)[5m:1m])")
    assert found == {"a", "b", "c"}
