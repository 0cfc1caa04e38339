"""The TorchServe handler: the only file that knows TorchServe. Research use only, not a medical device.

TorchServe's model loader wants exactly one class in this module.
"""

import logging
import os
import sys
from pathlib import Path
from time import time

from ts.handler_utils.utils import send_intermediate_predict_response

from lungct import traces
from lungct.errors import PHRASES
from lungct.exchange import read_origin, split
from lungct.pipeline import Batch, Job
from lungct.serving import count_series, list_calls, load

logger = logging.getLogger(__name__)


def quieten():
    """Silence the line that TorchServe's worker logs for every batch; metrics travel as INFO lines and must stay."""
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("ts.metrics", "lungct", __name__):
        logging.getLogger(name).setLevel(logging.INFO)


def drop_stand_in():
    """Let the real torch be found, if it is here: TorchServe has what it wanted of scripts/standin/torch.py."""
    stand_in = sys.modules.get("torch")
    if stand_in is not None and not hasattr(stand_in, "__path__"):  # one file, where torch is a package
        del sys.modules["torch"]
        sys.path.remove(str(Path(stand_in.__file__).parent))


class LungCTHandler:
    """Answers batches of slices.

    1. `initialize` verifies the model folder, chooses and proves an engine, warms it up for every size of batch.
    2. `handle` gets a list of rows, one a request, and returns a list of the same length; status and content type are
       set for each index. It never raises for what a client sent: an exception would answer 503 to the whole batch.
    3. Once the engine is broken for good, the next batch ends the process: TorchServe answers it with 500, for which
       the gateway asks again, and starts another worker.
    """

    def __init__(self):
        self._pipeline = self._traces = None
        self._engine_name = ""

    def initialize(self, context):
        """Load the model on the device that TorchServe assigned; any exception makes the worker fail to load."""
        drop_stand_in()
        self._traces = traces.open_sender(
            os.environ.get("LUNG_CT_TRACES", "")
        )  # first: a wrong one need not load a model
        properties = context.system_properties
        loaded = load(
            Path(properties["model_dir"]), context.model_yaml_config, properties.get("gpu_id"), properties["batch_size"]
        )
        self._pipeline, self._engine_name = loaded.pipeline, loaded.engine
        quieten()
        version = loaded.pipeline.contract.version
        logger.info("Ready: model %s, engine %s, %d threads.", version, loaded.engine, loaded.threads)

    def handle(self, data, context):
        """Rows of one batch -> replies, one a row, bytes or str."""
        if self._pipeline.broken:
            os._exit(1)  # TorchServe starts another worker; Python's own end could wait for a broken GPU for ever
        if self._asks_for_description(data, context):
            return [self._pipeline.describe()]
        began = time()
        headers = [context.get_all_request_header(i) for i in range(len(data))]
        origins = [read_origin(each, context.get_request_id(i)) for i, each in enumerate(headers)]
        jobs = [Job(*each) for each in zip(data, headers, origins, strict=True)]
        batch = self._pipeline.score(jobs)
        for i, reply in enumerate(batch.replies):
            context.set_response_status(reply.status, PHRASES[reply.status], i)
            context.set_response_content_type(i, reply.content_type)
            for name, value in reply.headers.items():
                context.set_response_header(i, name, value)
        if self._traces:
            self._tell(batch, jobs, began, context.metrics)
        self._count(batch, context.metrics)
        # gRPC, which hands over no headers, takes one answer whole; its streaming call has to be told that this is all
        streams = [any(isinstance(value, str) for value in job.headers.values()) for job in jobs]
        for i, stream in enumerate(streams):
            if not stream:
                context.set_response_header(i, "ts_stream_next", "false")
        ahead, left = split([reply.body for reply in batch.replies], streams)
        for i, content in ahead:
            ids = {i: context.get_request_id(i)}
            send_intermediate_predict_response({i: content}, ids, "Prediction success", 200, context)
        return left

    @staticmethod
    def _asks_for_description(data, context):
        """Only the management API asks with no input; a client's `describe` header beside an image means nothing."""
        return len(data) == 1 and not data[0] and context.get_request_header(0, "describe") == "True"

    def _tell(self, batch: Batch, jobs, began, metrics):
        """Hand the batch's times to the collector, and count what it could not take."""
        self._traces.tell(list_calls(batch, jobs, began, self._engine_name))
        if dropped := self._traces.take_dropped():
            metrics.get_metric("lung_ct_traces_dropped_total").add_or_update(dropped, [metrics.model_name, "Model"])

    @staticmethod
    def _count(batch: Batch, metrics):
        """Emit the batch's metrics, each series once: TorchServe parses one log line for every emission."""
        for (name, *dimensions), value in count_series(batch).items():
            metrics.get_metric(name).add_or_update(value, [*dimensions, metrics.model_name, "Model"])
