"""ONNX Runtime on one thread of the processor."""

import onnxruntime

from search_spaces.deployment import DeployedNetwork
from workers.latency.machine import processor
from workers.latency.runtime import Example, Run, Runtime


def on_processor() -> Runtime:
    """Return the runtime of the device "cpu" and of all named devices."""
    return Runtime("onnxruntime", onnxruntime.__version__, processor(), _prepare)


def _prepare(network: DeployedNetwork, example: Example) -> Run:
    session = onnxruntime.InferenceSession(network.to_onnx(), _options(), providers=["CPUExecutionProvider"])
    names, inputs = ["logits"], {"input": example}
    return lambda: session.run(names, inputs)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads must not spin on a core where another worker trains.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
