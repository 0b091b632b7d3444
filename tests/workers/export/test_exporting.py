"""An export is whole and true, or it is not there."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from filler import OTHER_STATES, Filler

from nas_service.confirmations import ConfirmRequest, RetrainRequest
from nas_service.errors import Conflict, InvalidInput, NotFound, ServiceError
from nas_service.exports import FORMATS, ExportRequest
from search_spaces.deployment import DeployedNetwork
from search_spaces.folding import fold_graph
from workers.export import tuning, writing
from workers.export.exporting import export
from workers.export.preprocessing import preprocessing_of
from workers.export.trained import Trained, read_trained
from workers.export.verification import Mismatch, verified


def test_all_formats_are_written_and_agree(trained: Trained, destination: Path) -> None:
    exported = export(trained, destination, ExportRequest())
    assert set(exported.files) == {
        "CARD.md", "architecture.json", "card.html", "export.json", "load.py", "model-int8.onnx",
        "model.onnx", "model.py", "preprocessing.json", "weights.safetensors",
    }  # fmt: skip
    rows = {row.name: row for row in exported.forms}
    assert set(rows) == {"torch, as trained", "ONNX fp32", "ONNX int8"}
    assert rows["ONNX fp32"].disagreements == 0
    assert rows["ONNX int8"].size_bytes < rows["ONNX fp32"].size_bytes
    assert all(row.median_ms and row.median_ms > 0 for row in exported.forms)
    assert sorted(path.name for path in destination.iterdir()) == exported.files
    assert list(destination.parent.iterdir()) == [destination]


def test_the_onnx_file_names_what_it_is_and_takes_any_batch(trained: Trained, destination: Path) -> None:
    export(trained, destination, ExportRequest(formats=("onnx",)))
    model = onnx.load(destination / "model.onnx")
    known = {entry.key: entry.value for entry in model.metadata_props}
    assert known["trial"] == str(trained.trial.number)
    assert known["architecture_sha256"] == trained.trial.architecture_hash
    assert json.loads(known["classes"]) == list(trained.dataset.class_names)
    assert not [tensor for tensor in model.graph.initializer if tensor.data_location]
    session = onnxruntime.InferenceSession(destination / "model.onnx")
    for batch in (1, 3):
        inputs = np.zeros((batch, *trained.dataset.input_shape), dtype=np.float32)
        assert session.run(["logits"], {"input": inputs})[0].shape == (batch, 10)


@pytest.mark.parametrize("normalisation", ["dataset", "example"])
def test_preprocessing_can_be_inside_the_onnx_file(
    filler: Filler, destination: Path, normalisation: str
) -> None:
    own = Filler(filler.service, filler.ledger, recipe={"normalisation": normalisation})
    trained = read_trained(own.service, str(own.study), own.add("two_conv"))
    export(trained, destination, ExportRequest(formats=("onnx",), with_preprocessing=True))
    session = onnxruntime.InferenceSession(destination / "model.onnx")
    raw = trained.test.examples[:50].contiguous().numpy().astype(np.float32)
    (logits,) = session.run(["logits"], {"input": raw})
    assert np.abs(logits - trained.test_logits[:50].numpy()).max() < 1e-4
    assert session.get_modelmeta().custom_metadata_map["preprocessing"] == "inside"


@pytest.mark.parametrize("normalisation", ["dataset", "example"])
def test_the_code_preprocesses_and_answers_like_the_trained_network(
    filler: Filler, destination: Path, normalisation: str
) -> None:
    own = Filler(filler.service, filler.ledger, recipe={"normalisation": normalisation})
    trained = read_trained(own.service, str(own.study), own.add("inception"))
    export(trained, destination, ExportRequest(formats=("code",)))
    np.save(destination / "x.npy", trained.test.examples[:20].contiguous().numpy())
    code = (
        "import numpy, torch, model\n"
        "x = torch.from_numpy(numpy.load('x.npy'))\n"
        "with torch.no_grad(): numpy.save('logits.npy', model.load()(model.preprocess(x)).numpy())\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=destination, check=True)
    difference = np.abs(np.load(destination / "logits.npy") - trained.test_logits[:20].numpy())
    assert difference.max() < 1e-4


def test_the_card_tells_figures_classes_and_branches(trained: Trained, destination: Path) -> None:
    export(trained, destination, ExportRequest(formats=("onnx", "card")))
    text, page = (destination / "CARD.md").read_text(), (destination / "card.html").read_text()
    accuracy = int((trained.test_logits.argmax(1) == trained.test.labels).sum()) / len(trained.test)
    for written in (text, page):
        assert f"{100 * accuracy:.2f} %" in written
        assert trained.study.dataset_sha256 in written
        assert "stage1.branch1" in written
        assert "ONNX fp32" in written
    assert "<b>" not in text.replace("digits | <b>", "").split("##")[0] or "digits" in text
    assert "digits | &lt;b&gt;" in page


def test_the_card_tells_what_was_searched_from_what_was_confirmed(filler: Filler, destination: Path) -> None:
    number = filler.add("two_conv")
    filler.service.confirm(filler.study, ConfirmRequest(trials=(number,), seeds=2))
    filler.end_jobs([{"metrics": {"accuracy": accuracy}} for accuracy in (0.40, 0.44)])
    trained = read_trained(filler.service, str(filler.study), number)
    here = (
        f"{100 * int((trained.test_logits.argmax(1) == trained.test.labels).sum()) / len(trained.test):.2f} %"
    )
    export(trained, destination, ExportRequest(formats=("card",)))
    assert f"| Accuracy | 50.00 % | 42.00 % ± 2.83 % | {here} |" in (destination / "CARD.md").read_text()
    page = (destination / "card.html").read_text()
    assert all(f"<b>{share}</b> Accuracy" in page for share in ("50.00 %", "42.00 % ± 2.83 %", here))
    assert "Mean and deviation of 2 networks" in page
    assert "the search&#39;s figure is 8.00 points better" in page


def test_weights_of_a_retraining_keep_the_normalisation_of_what_they_were_trained_on(
    filler: Filler, destination: Path
) -> None:
    number = filler.add("two_conv")
    trial = filler.service.trial_by_number(filler.study, number)
    filler.service.retrain(trial.id, RetrainRequest(epochs=7, seed=5))
    own = {"epochs": 7, "seed": 5, "data": "train_and_validation"}
    normalisation = {"mean": [1.5], "deviation": [2.5]}
    files = {"weights.safetensors": trial.artifacts["weights"]}
    files |= {"architecture.json": trial.artifacts["architecture"]}
    (job,) = filler.end_jobs([{**own, "normalisation": normalisation}], **files)
    trained = read_trained(filler.service, str(filler.study), number, ExportRequest(job=job))
    prepared = preprocessing_of(trained)
    assert (prepared.mean, prepared.deviation) == ((1.5,), (2.5,))
    export(trained, destination, ExportRequest(formats=("onnx", "card"), with_preprocessing=True))
    # The file in fp32 was compared with this network, whose inputs are normalised so.
    raw = trained.test.examples[:50].contiguous().numpy().astype(np.float32)
    session = onnxruntime.InferenceSession(destination / "model.onnx")
    (logits,) = session.run(["logits"], {"input": raw})
    with torch.no_grad():
        expected = trained.network((torch.from_numpy(raw) - 1.5) / 2.5).numpy()
    assert np.abs(logits - expected).max() < 1e-4
    card = (destination / "CARD.md").read_text()
    assert f"a retraining, job {job}" in card
    assert f"{len(trained.data.train):,} training (validation part included), 0 validation" in card
    with pytest.raises(InvalidInput, match=f"job 999.*allowed: {job}"):
        read_trained(filler.service, str(filler.study), number, ExportRequest(job=999))
    other = filler.add("inception")
    with pytest.raises(InvalidInput, match=f"job {job} trained no network of trial {other}"):
        read_trained(filler.service, str(filler.study), other, ExportRequest(job=job))


def test_preprocessing_holds_the_range_of_the_training_part(trained: Trained) -> None:
    prepared, examples = preprocessing_of(trained), trained.data.train.examples.numpy()
    within = examples.std((1, 2, 3), dtype=np.float64)
    assert (prepared.minimum, prepared.maximum) == (examples.min(), examples.max())
    assert prepared.quiet_deviation == pytest.approx(np.quantile(within, 0.01), rel=1e-4)


@pytest.mark.parametrize("state", OTHER_STATES)
def test_a_trial_without_a_network_is_refused_with_its_reason(filler: Filler, state: str) -> None:
    number = filler.add("two_conv", state)
    with pytest.raises(Conflict, match=f"is {state}: of a reason"):
        read_trained(filler.service, str(filler.study), number)


def test_a_running_trial_is_refused(filler: Filler) -> None:
    number = filler.add("two_conv", "running")
    with pytest.raises(Conflict, match="is running"):
        read_trained(filler.service, str(filler.study), number)


def test_missing_weights_are_named(filler: Filler) -> None:
    number = filler.add("two_conv")
    trial = filler.service.trial_by_number(filler.study, number)
    filler.service.artifact_path(trial.artifacts["weights"]).unlink()
    with pytest.raises(NotFound, match="weights of trial"):
        read_trained(filler.service, str(filler.study), number)


def test_what_lies_in_the_folder_stays_unless_told_otherwise(trained: Trained, destination: Path) -> None:
    destination.mkdir(parents=True)
    (destination / "mine.txt").write_text("mine")
    with pytest.raises(Conflict, match="not empty"):
        export(trained, destination, ExportRequest(formats=("torch",)))
    assert (destination / "mine.txt").read_text() == "mine"
    export(trained, destination, ExportRequest(formats=("torch",)), replaces=True)
    assert not (destination / "mine.txt").exists()


def test_a_mismatch_fails_the_export_and_leaves_nothing(
    trained: Trained, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = writing.inference
    monkeypatch.setattr(writing, "inference", lambda model: lambda x: exact(model)(x) + 0.01)
    with pytest.raises(Mismatch, match=r"largest logit difference is 0\.01"):
        export(trained, destination, ExportRequest(formats=("torch", "onnx")))
    assert not destination.exists()
    assert list(destination.parent.iterdir()) == []


def test_a_changed_top_answer_is_a_mismatch(trained: Trained) -> None:
    expected = iter(trained.test_logits.flip(1).split(256))
    with pytest.raises(Mismatch, match="differ in top-1"):
        verified(trained, lambda inputs: next(expected).numpy(), "it")


def test_a_folder_that_cannot_be_made_is_a_clear_error(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="cannot write beside"):
        export(trained, tmp_path / "file" / "network", ExportRequest(formats=("torch",)))


def test_formats_are_named_or_refused() -> None:
    assert ExportRequest(formats=("torch", "all")).chosen == FORMATS
    assert ExportRequest(formats=("card", "onnx")).chosen == ("onnx", "card")
    with pytest.raises(ValueError, match="'onnx'"):
        ExportRequest.model_validate({"formats": ["tflite"]})


def test_branches_in_company_are_each_silenced(trained: Trained) -> None:
    from workers.export.contribution import contributions

    before = trained.test_logits.clone()
    found = contributions(trained)
    assert len(found) >= 2
    assert all(0 <= each.accuracy_without <= 1 for each in found)
    with torch.no_grad():
        again = torch.cat([trained.network(inputs) for inputs, _ in trained.batches(trained.test)])
    assert torch.equal(before, again)


def test_tuned_weights_lose_less_when_they_are_rounded_coarsely(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two bits: where rounding costs hardly anything there would be nothing to win.
    monkeypatch.setattr(tuning, "WEIGHTS", (-1, 1))
    state = {name: value.detach().numpy() for name, value in trained.network.state_dict().items()}
    network = DeployedNetwork(*fold_graph(trained.network.graph, state))

    def loss(of: DeployedNetwork) -> float:
        student, teacher = tuning._module(of), tuning._module(network)
        quantisers = tuning._fake_quantised(student)
        tuning._calibrate(trained, student, quantisers, torch.Generator().manual_seed(1))
        with torch.no_grad():
            pairs = [(student(x), teacher(x).softmax(1)) for x, _ in trained.batches(trained.test)]
        return float(sum(torch.nn.functional.cross_entropy(*pair) for pair in pairs))

    assert loss(tuning.tuned(trained, network, 2)) < loss(network)


def test_tuning_that_diverges_is_said_and_the_untuned_file_is_written(
    trained: Trained, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "LEARNING_RATE", 1e38)
    wanted = ExportRequest(formats=("onnx-int8",), qat_epochs=1)
    exported = export(trained, destination, wanted)
    assert "model-int8.onnx is the untuned form: tuning diverged" in " ".join(exported.remarks)
    assert [form.name for form in exported.forms] == ["ONNX int8"]
    assert (destination / "model-int8.onnx").stat().st_size == exported.forms[0].size_bytes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(ServiceError, match="No space left on device; nothing was left there"):
            export(trained, disk / "network", ExportRequest(formats=("torch",)))
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_may_not_grow_is_a_clear_error_and_leaves_nothing(
    trained: Trained, tmp_path: Path
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(ServiceError, match="File too large; nothing was left there"):
            export(trained, tmp_path / "network", ExportRequest(formats=("torch",)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not [path for path in tmp_path.iterdir() if "network" in path.name]
