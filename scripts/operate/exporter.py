"""Export what TorchServe has no metric for: queue, READY workers, a canary, the model's promises, gateway, PACS.

    lungct exporter                          # http://127.0.0.1:8083/metrics, beside the server of .run
    lungct exporter --run /tmp/b --port 9083

Every scrape asks the server once: its description, then one canary slice; and the gateway, if one was ever started from
the run folder. So scrape every 15 s or slower; on a GPU each description starts nvidia-smi for every worker. Server and
gateway may stop and start again meanwhile.

Exit codes: 0 stopped by Ctrl-C or SIGTERM, 2 the port is in use.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

from lungct_client import Client, ServerBusy
from lungct_tools.commandline import add_run_option, make_parser, port
from lungct_tools.pacs.numbers import describe as describe_spool
from lungct_tools.pacs.numbers import find_spool
from lungct_tools.proxy.door import find_door, look
from lungct_tools.server.deputy import find_asked
from lungct_tools.server.health import UNREADY, count_ready, score_canary
from lungct_tools.server.instance import ASGI, EXPORTER_PORT, Instance
from lungct_tools.server.ledger import ask
from lungct_tools.server.processes import find_processes, read_resident

# The first two together, and the last, stay under the scrape timeout of config/prometheus/prometheus.yml.
DESCRIBE_TIMEOUT_S = 3
CANARY_TIMEOUT_S = 10
GATEWAY_TIMEOUT_S = 4
PARTS = {  # by their command lines
    "java": (b"-Dmodel_server_home",),
    "front": (ASGI.encode(),),
    "worker": (b"model_service_worker", b"lungct.serving.worker"),
}
CANARY_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, CANARY_TIMEOUT_S)


class ServerCollector(Collector):
    """Asks one server at each scrape; what it could not learn it leaves out, so that nothing stale is shown."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._canary_seconds = Histogram(
            "lung_ct_canary_seconds",
            "Seconds from sending the canary slice to its reply, queue and batch included; a failed one counts too",
            buckets=CANARY_BUCKETS,
            registry=None,
        )
        self._contract: Mapping[str, Any] = {}

    def collect(self) -> Iterator[Metric]:
        """Metrics of this moment; `lung_ct_ready` is always among them."""
        with ThreadPoolExecutor(1) as meanwhile:
            gateway = meanwhile.submit(lambda: list(describe_gateway(self._run)))
            yield from self._describe_server()
            yield from gateway.result()
        if spool := find_spool(self._run):
            yield from describe_spool(spool)

    def _describe_server(self) -> Iterator[Metric]:
        enough = ready = False
        try:
            # a server that was started again has other ports and tokens; meanwhile its deputy answers
            instance = find_asked(Instance.read(self._run))
            if instance.running:
                yield describe_memory(instance.pid)
            description = Client(instance, deadline_s=0, timeout_s=DESCRIBE_TIMEOUT_S).describe()
            yield from describe_workers(description)
            enough = count_ready(description) >= max(1, description["minWorkers"])
            reply = self._time_canary(Client(instance, deadline_s=0, timeout_s=CANARY_TIMEOUT_S), instance)
            yield from self._describe_model(reply["model"], instance)
            ready = enough
        except ServerBusy:
            ready = enough  # busy is not broken
        except (*UNREADY, KeyError, TypeError):  # the last two: another program answers
            pass  # told by lung_ct_ready; lungct health says why
        yield GaugeMetricFamily(
            "lung_ct_ready", "1: all wanted workers are READY and score: the canary, or batches before it", ready
        )
        yield from self._canary_seconds.collect()

    def _time_canary(self, client: Client, instance: Instance) -> dict[str, Any]:
        with self._canary_seconds.time():
            return score_canary(client, instance)

    def _describe_model(self, served: Mapping[str, str], instance: Instance) -> Iterator[Metric]:
        """What the model card leads us to expect, asked for again only when other weights are served."""
        if served["weights_sha256"] != self._contract.get("files", {}).get("weights.safetensors"):
            self._contract = Client(instance, deadline_s=0, timeout_s=DESCRIBE_TIMEOUT_S).contract()
        info = GaugeMetricFamily("lung_ct_model_info", "1; the model that is served", labels=tuple(served))
        info.add_metric(tuple(served.values()), 1)
        yield info
        promised = self._contract.get("metrics", {})  # an imported checkpoint has none
        if "reported_share" in promised:
            yield GaugeMetricFamily(
                "lung_ct_expected_refer_share",
                "Share of slices referred where the model was judged",
                1 - promised["reported_share"],
            )
        if expected := promised.get("mean_confidence", promised.get("accuracy")):
            yield GaugeMetricFamily(
                "lung_ct_expected_confidence",
                "Mean confidence where the model was judged; of models of 1.x their accuracy, which it then equals",
                expected,
            )


def describe_workers(description: Mapping[str, Any]) -> Iterator[Metric]:
    """Queue and workers from TorchServe's description of the model."""
    queue = description["jobQueueStatus"]
    pending = queue["pendingRequests"]
    yield GaugeMetricFamily("lung_ct_queue_pending", "Requests that wait for a worker", pending)
    yield GaugeMetricFamily(
        "lung_ct_queue_capacity", "Requests that may wait; one more gets 503", pending + queue["remainingCapacity"]
    )
    yield GaugeMetricFamily("lung_ct_workers_ready", "Workers that are READY", count_ready(description))
    yield GaugeMetricFamily("lung_ct_workers_wanted", "Workers that were asked for", description["minWorkers"])
    resident = GaugeMetricFamily(
        "lung_ct_worker_resident_bytes",
        "Resident memory of a worker process; TorchServe measures it once a minute",
        labels=("worker", "pid"),  # a worker that was started again is another process: growth starts anew
    )
    for worker in description["workers"]:
        if worker["memoryUsage"]:
            resident.add_metric((worker["id"], str(worker["pid"])), worker["memoryUsage"])
    yield resident


def describe_memory(group: int) -> Metric:
    """Memory of the server by part: who speaks HTTP ("java" or "front"), workers, and what else there is.

    That is the readers of uploads and whence they fork.
    """
    held = Counter(dict.fromkeys((*PARTS, "other"), 0))
    for folder in find_processes(group):
        with suppress(OSError):  # ended meanwhile
            command = (folder / "cmdline").read_bytes()
            part = next((name for name, marks in PARTS.items() if any(m in command for m in marks)), "other")
            held[part] += read_resident(folder)
    metric = GaugeMetricFamily(
        "lung_ct_server_memory_bytes",
        "Resident memory of all the server's processes; shared pages count in each",
        labels=("part",),
    )
    for part, size in held.items():
        metric.add_metric((part,), size)
    return metric


def describe_gateway(run: Path) -> Iterator[Metric]:
    """The gateway that was started last from the run folder, whether or not it still runs; nothing if none was."""
    door = find_door(run)
    if door is None:
        return
    sight = look(door, GATEWAY_TIMEOUT_S)
    yield GaugeMetricFamily("lung_ct_gateway_up", "1: the gateway answers", sight.up)
    if sight.expiry is not None:
        yield GaugeMetricFamily(
            "lung_ct_gateway_certificate_expiry_timestamp_seconds",
            "When the certificate that the gateway shows ends, as Unix time",
            sight.expiry,
        )
    if told := ask(run):
        answered = CounterMetricFamily(
            "lung_ct_gateway_responses", "Answers of the gateway, its own refusals included", labels=("status",)
        )
        for status, count in told["responses"].items():
            answered.add_metric((status,), count)
        yield answered
        yield from describe_candidate(told)
        yield from describe_shadow(told["shadow"])


def describe_candidate(told: Mapping[str, Any]) -> Iterator[Metric]:
    """The canary that is under way (lungct update --canary), and the answers since it began."""
    yield GaugeMetricFamily(
        "lung_ct_candidate_share",
        "Share of the gateway's requests that is for the candidate; 0: none runs",
        told["share"],
    )
    answers = CounterMetricFamily(
        "lung_ct_candidate_answers",
        "Answers of a model since the canary began: whom the request was for, and who answered",
        labels=("chosen", "answered"),
    )
    for chosen, answered, count in told["answers"]:
        answers.add_metric((chosen, answered), count)
    yield answers


def describe_shadow(counted: Mapping[str, Any]) -> Iterator[Metric]:
    """The shadow that is under way (lungct update --shadow), and what was counted since it began."""
    yield GaugeMetricFamily("lung_ct_shadow_share", "Share of requests that is copied; 0: no shadow", counted["share"])
    copies = CounterMetricFamily("lung_ct_shadow_copies", "Copies, by what became of them", labels=("outcome",))
    for outcome, count in counted["copies"].items():
        copies.add_metric((outcome,), count)
    yield copies
    for name in ("labels", "decisions"):
        pairs = CounterMetricFamily(
            f"lung_ct_shadow_{name}", f"Compared copies, by the {name} of both models", labels=("serving", "candidate")
        )
        for serving, candidate, count in counted[name]:
            pairs.add_metric((serving, candidate), count)
        yield pairs
    yield SummaryMetricFamily(
        "lung_ct_shadow_confidence_difference",
        "How far the confidences of both models lie apart, over compared copies",
        count_value=counted["copies"]["compared"],
        sum_value=counted["difference"],
    )


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("--port", type=port, default=EXPORTER_PORT, help="default: %(default)s")
    parser.add_argument("--address", default="127.0.0.1", help="to listen at: it knows no keys (default %(default)s)")
    args = parser.parse_args()
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)  # before there are threads that could take them
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServerCollector(args.run))
    try:
        server, thread = start_http_server(args.port, addr=args.address, registry=registry)
    except OSError as error:
        told = f"{args.address}:{args.port}: {error.strerror}; choose another --port, or --address."
        print(f"exporter: {told}", file=sys.stderr)
        return 2
    print(f"exporter: http://{args.address}:{server.server_port}/metrics", flush=True)
    signal.sigwait(stopping)
    server.shutdown()
    thread.join()
    return 0
