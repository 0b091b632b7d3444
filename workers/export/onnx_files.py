"""ONNX files of a trained network: folded, named, and run as they will be."""

import json
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from nas_service import __version__
from nas_service.preprocessing import Preprocessing
from search_spaces.deployment import DeployedNetwork
from workers.export.preprocessing import preprocessing_of
from workers.export.trained import Trained

Logits = NDArray[np.float32]
Inference = Callable[[NDArray[np.float32]], Logits]


def onnx_file(trained: Trained, network: DeployedNetwork) -> bytes:
    """Return a single-file model from "input" (batch, C, *S) to "logits", with what it is inside."""
    model = onnx.load_from_string(network.to_onnx())
    onnx.helper.set_model_props(model, _properties(trained, preprocessing_of(trained)))
    return bytes(model.SerializeToString())


def session(model: bytes) -> onnxruntime.InferenceSession:
    """Return a session of one thread, as a small device runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def inference(model: bytes) -> Inference:
    """Return a function from inputs (B, C, *S) to logits (B, classes) in ONNX Runtime."""
    running = session(model)

    def run(inputs: NDArray[np.float32]) -> Logits:
        (logits,) = running.run(["logits"], {"input": inputs})
        return np.asarray(logits)

    return run


def _properties(trained: Trained, preprocessing: Preprocessing) -> dict[str, str]:
    return {
        "study": str(trained.study.id),
        "study_name": trained.study.spec.name,
        "trial": str(trained.trial.number),
        **({"job": str(trained.run.job)} if trained.run else {}),
        "architecture_sha256": trained.architecture.hash,
        "weights_sha256": trained.weights_sha256,
        "dataset_sha256": trained.dataset_sha256,
        "classes": json.dumps(list(preprocessing.classes)),
        "preprocessing": json.dumps(preprocessing.to_dict()),
        "nas_service": __version__,
    }
