"""Training as a tutorial shows it: a DataLoader with two processes, a transform for each example, fp32.

It takes the same network, recipe and examples as ours; what differs is how they are computed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from nas_service.studies import Recipe
from workers.training.optimisation import learning_rate

# Forked, as where a script starts them: those of a spawned process would each load torch again, every epoch.
LOADERS: dict[str, Any] = {"num_workers": 2, "multiprocessing_context": "fork"}
Array = np.ndarray[Any, Any]


class Pictures(Dataset[tuple[Tensor, int]]):
    """Examples (N, C, H, W) of uint8 as pictures, each transformed when it is asked for."""

    def __init__(self, examples: Array, labels: Array, transform: Callable[[Image.Image], Tensor]) -> None:
        self._examples = np.ascontiguousarray(np.moveaxis(examples, 1, -1))
        self._labels, self._transform = labels.tolist(), transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(
            self._examples[index].squeeze(-1) if self._is_grey else self._examples[index]
        )
        return self._transform(picture), self._labels[index]

    @property
    def _is_grey(self) -> bool:
        return bool(self._examples.shape[-1] == 1)


class Transform:
    """Crop and flip at random, turn into a tensor, normalise: one picture at a time."""

    def __init__(self, mean: Tensor, deviation: Tensor, padding: int, *, flips: bool) -> None:
        self._mean, self._deviation, self._padding, self._flips = mean / 255, deviation / 255, padding, flips
        # What lies outside is the mean, as in our recipe: black borders would be another augmentation.
        self._fill = tuple(mean.round().int().flatten().tolist())

    def __call__(self, picture: Image.Image) -> Tensor:
        if self._padding:
            picture = self._cropped(picture)
        if self._flips and torch.rand(()) < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        values = torch.from_numpy(np.array(picture))
        values = values[None] if values.dim() == 2 else values.permute(2, 0, 1).contiguous()
        return (values.float().div(255) - self._mean) / self._deviation

    def _cropped(self, picture: Image.Image) -> Image.Image:
        side, padding = picture.size[0], self._padding
        fill = self._fill if len(self._fill) > 1 else self._fill[0]
        padded = Image.new(picture.mode, (side + 2 * padding, side + 2 * padding), fill)
        padded.paste(picture, (padding, padding))
        left, top = torch.randint(0, 2 * padding + 1, (2,)).tolist()
        return padded.crop((left, top, left + side, top + side))


class PlainLoop:
    """One candidate's training, an epoch at a time."""

    def __init__(
        self,
        network: nn.Module,
        training: Pictures,
        recipe: Recipe,
        epochs: int,
        device: str = "cpu",
    ) -> None:
        self.network, self._recipe, self._epochs = network.to(device), recipe, epochs
        self._device, self._step = device, 0
        self._loader = DataLoader(training, recipe.batch_size, shuffle=True, drop_last=True, **LOADERS)
        weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
        others = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
        groups = [
            {"params": weights, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True
        )
        self._criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def train_epoch(self) -> float:
        """Train for an epoch and return its mean loss."""
        self.network.train()
        running = 0.0
        for images, labels in self._loader:
            images, labels = images.to(self._device), labels.to(self._device)
            progress = self._step / (self._epochs * len(self._loader))
            for group in self._optimizer.param_groups:
                group["lr"] = learning_rate(self._recipe, progress)
            self._optimizer.zero_grad()
            loss = self._criterion(self.network(images), labels)
            loss.backward()
            self._optimizer.step()
            running += loss.item()
            self._step += 1
        return running / len(self._loader)

    def accuracy(self, pictures: Pictures) -> float:
        """Return the share of pictures that are classified right."""
        self.network.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in DataLoader(pictures, 512, **LOADERS):
                logits = self.network(images.to(self._device))
                correct += (logits.argmax(1).cpu() == labels).sum().item()
        return correct / len(pictures)
