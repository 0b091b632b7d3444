"""Static post-training quantisation to 8 bits, calibrated on training examples."""

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from workers.data.arrays import Part
from workers.export.trained import Trained

CALIBRATION_EXAMPLES = 1_000
SEED = 0


def quantised(trained: Trained, model: bytes) -> bytes:
    """Return an 8-bit model: weights with a scale an output channel, activations unsigned.

    Source: Jacob et al. 2018, arXiv:1712.05877, as ONNX Runtime's QDQ format stores it.

    Args:
        trained: Whose training part gives the ranges.
        model: An ONNX file in fp32 that takes normalised inputs.
    """
    # It tells everybody at the root logger to prepare the model first, which folding has done, and that the
    # weights of norms, which have one axis, get one scale.
    logging.getLogger().addFilter(_is_no_advice)
    try:
        with TemporaryDirectory() as folder:
            source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
            source.write_bytes(model)
            quantize_static(
                source,
                target,
                _Examples(trained),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            written = onnx.load_from_string(target.read_bytes())
    finally:
        logging.getLogger().removeFilter(_is_no_advice)
    known = onnx.load_from_string(model)
    onnx.helper.set_model_props(written, {entry.key: entry.value for entry in known.metadata_props})
    return bytes(written.SerializeToString())


class _Examples(CalibrationDataReader):  # type: ignore[misc]  # untyped in onnxruntime
    def __init__(self, trained: Trained) -> None:
        part = trained.data.train
        order = np.random.default_rng(SEED).permutation(len(part))[:CALIBRATION_EXAMPLES]
        chosen = Part(part.examples[order], part.labels[order])
        self._inputs: Iterator[NDArray[np.float32]] = (
            inputs.contiguous().numpy() for inputs, _ in trained.batches(chosen)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch, None behind the last."""
        inputs = next(self._inputs, None)
        return None if inputs is None else {"input": inputs}


def _is_no_advice(record: logging.LogRecord) -> bool:
    advice = ("pre-processing before quantization", "is out-of-range for weight")
    return not any(words in record.getMessage() for words in advice)
