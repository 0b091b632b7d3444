"""An exported network, run on a person's own examples with ONNX Runtime alone."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_service.array_files import SUFFIXES as ARRAY_FILES
from nas_service.array_files import read_array
from nas_service.datasets.archives import first_line
from nas_service.datasets.images import SUFFIXES, read_image
from nas_service.errors import FieldError, InvalidInput, NotFound
from nas_service.preprocessing import Preprocessing

BATCH = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a network says of one example."""

    # The file, or the place in an array.
    example: str
    label: str
    # Softmax of the label's logit.
    probability: float
    # The three likeliest, with their probabilities.
    best: list[tuple[str, float]]


class ExportedNetwork:
    """A folder that `nas trial export` wrote.

    Args:
        folder: Holds an ONNX file and preprocessing.json.
        name: Of the ONNX file.

    Raises:
        NotFound: One of the files is missing.
        InvalidInput: One of them cannot be read, or the name is that of no ONNX file.
    """

    def __init__(self, folder: Path, name: str = "model.onnx") -> None:
        import onnxruntime

        _check_name(folder, name)
        for needed in (name, "preprocessing.json"):
            if not (folder / needed).is_file():
                raise NotFound(
                    f"{folder} has no {needed}; write it with: nas trial export STUDY NUMBER -o {folder}"
                )
        try:
            self.preprocessing = Preprocessing.from_dict(
                json.loads((folder / "preprocessing.json").read_text())
            )
            self._session = onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
        # ONNX Runtime's errors have no base of their own.
        except Exception as error:
            message = f"{folder} holds no readable network: {_why(error, name)}"
            raise InvalidInput(FieldError("", message)) from error
        self.properties: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._is_inside = self.properties.get("preprocessing") == "inside"

    def logits(self, examples: NDArray[Any]) -> NDArray[np.float32]:
        """Return logits (N, classes) of examples (N, C, *S), numbers as in the data set."""
        return np.concatenate(
            [self._run(examples[start : start + BATCH]) for start in range(0, len(examples), BATCH)]
        )

    def predict(
        self,
        path: Path,
        *,
        most: int | None = None,
        on_examples: Callable[[NDArray[Any]], object] = lambda examples: None,
    ) -> Iterator[Prediction]:
        """Yield a prediction for an image, for each image of a folder, or for each example of an array file.

        Args:
            path: Of the file or folder.
            most: An array file with more examples is refused.
            on_examples: Told of the examples (N, C, *S) of each file before they are answered.

        Raises:
            InvalidInput: An input cannot be read, is of another shape than the network takes, or not finite.
            NotFound: There is no such file.
        """
        for name, examples in self._examples(path):
            _check_count(len(examples), most)
            _check_finite(name, examples)
            on_examples(examples)
            shares = _softmax(self.logits(examples))
            for place, row in enumerate(shares):
                label = name if len(examples) == 1 and path.suffix not in ARRAY_FILES else f"{name}[{place}]"
                yield self._prediction(label, row)

    def predict_arrays(
        self,
        name: str,
        examples: NDArray[Any],
        most: int,
        *,
        on_examples: Callable[[NDArray[Any]], object] = lambda examples: None,
    ) -> list[Prediction]:
        """Return the predictions for examples (N, C, *S), or for one without its first axis.

        Raises:
            InvalidInput: They are of another shape than the network takes, too many, or not finite.
        """
        checked = self._checked(name, examples)
        _check_count(len(checked), most)
        _check_finite(name, checked)
        on_examples(checked)
        shares = _softmax(self.logits(checked))
        return [self._prediction(f"{name}[{place}]", row) for place, row in enumerate(shares)]

    def _prediction(self, example: str, shares: NDArray[np.float32]) -> Prediction:
        order = np.argsort(-shares)[:3]
        best = [(self.preprocessing.classes[place], float(shares[place])) for place in order]
        return Prediction(example, *best[0], best)

    def _run(self, examples: NDArray[Any]) -> NDArray[np.float32]:
        inputs = examples.astype(np.float32) if self._is_inside else self.preprocessing.apply(examples)
        (logits,) = self._session.run(["logits"], {"input": inputs})
        return np.asarray(logits)

    def _examples(self, path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
        if path.is_dir():
            images = sorted(item for item in path.rglob("*") if item.suffix.lower() in SUFFIXES)
            if not images:
                raise InvalidInput(
                    FieldError("/input", f"{path} holds no images ({', '.join(sorted(SUFFIXES))})")
                )
            for image in images:
                yield image.relative_to(path).as_posix(), self._picture(image)
        elif not path.is_file():
            raise NotFound(f"there is no file or folder {path}")
        elif path.suffix in ARRAY_FILES:
            yield path.name, self._checked(path.name, read_array(path))
        else:
            yield path.name, self._picture(path)

    def _picture(self, path: Path) -> NDArray[Any]:
        """Return a picture as (1, C, H, W), grey or colour as the network takes it."""
        wanted = self.preprocessing.input_shape
        picture = read_image(path, wanted[0])
        if picture.shape != wanted:
            message = f"{path.name} is a picture of shape {picture.shape}"
            raise InvalidInput(FieldError("/input", message, f"({', '.join(map(str, wanted))})"))
        return picture[None]

    def _checked(self, name: str, examples: NDArray[Any]) -> NDArray[Any]:
        """Return (N, C, *S); a lone example without its first axis and channels last are taken too."""
        wanted = self.preprocessing.input_shape
        for candidate in (examples, examples[None], examples[:, None] if examples.ndim > 1 else examples):
            if candidate.shape[1:] == wanted:
                return candidate
            if candidate.ndim == len(wanted) + 1 and np.moveaxis(candidate, -1, 1).shape[1:] == wanted:
                return np.moveaxis(candidate, -1, 1)
        raise InvalidInput(
            FieldError("/input", f"{name} has shape {examples.shape}", f"(N, {', '.join(map(str, wanted))})")
        )


def _check_name(folder: Path, name: str) -> None:
    """Refuse other files of an export, such as weights.safetensors."""
    if not name.endswith(".onnx"):
        there_are = ", ".join(sorted(path.name for path in folder.glob("*.onnx")))
        raise InvalidInput(FieldError("/file", f"{name} is no ONNX file", there_are or "a file NAME.onnx"))


def _why(error: Exception, name: str) -> str:
    """Return in a line why the files could not be read."""
    if type(error).__name__ == "InvalidProtobuf":
        return f"{name} is damaged, or no ONNX file"
    return first_line(error)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))


def _check_count(count: int, most: int | None) -> None:
    if not count:
        raise InvalidInput(FieldError("/input", "holds no examples"))
    if most is not None and count > most:
        raise InvalidInput(FieldError("/input", f"holds {count} examples", f"at most {most}"))


def _check_finite(name: str, examples: NDArray[Any]) -> None:
    """Refuse what no network has an answer to."""
    if np.issubdtype(examples.dtype, np.inexact):
        is_finite = np.isfinite(examples).all(tuple(range(1, examples.ndim)))
        if not is_finite.all():
            place = f"{name}[{int(is_finite.argmin())}]"
            raise InvalidInput(FieldError("/input", f"{place} holds a number that is not finite"))
