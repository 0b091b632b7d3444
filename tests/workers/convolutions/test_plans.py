"""Plans are measured once and survive in a file."""

import json
from pathlib import Path

import pytest

from workers.training.convolutions import plans as plans_module
from workers.training.convolutions.case import PASSES, Case, Plan, forms
from workers.training.convolutions.plans import PROBED_BATCH, Plans, measured

SMALL = Case(
    in_channels=16,
    out_channels=16,
    kernel=(3, 3),
    stride=1,
    dilation=(1, 1),
    groups=4,
    size=(6, 6),
    batch=4,
)


@pytest.fixture
def never_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(case: Case, precisions: object) -> Plan:
        raise AssertionError(f"{case} was measured again")

    monkeypatch.setattr(plans_module, "measured", refuse)


def test_a_measured_plan_holds_a_possible_form_of_each_pass() -> None:
    plan = measured(SMALL, ("bf16", "fp32"))
    for which in PASSES:
        assert getattr(plan, which) in forms(SMALL, which, ("bf16", "fp32"))


def test_a_plan_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = Plans()
    first = plans.plan(SMALL, ("fp32",))
    monkeypatch.setattr(plans_module, "measured", None)
    assert plans.plan(SMALL, ("fp32",)) is first


def test_larger_batches_share_the_plan_of_the_probed_one() -> None:
    plans = Plans()
    wide = Case(**{**_fields(SMALL), "batch": PROBED_BATCH + 1})
    wider = Case(**{**_fields(SMALL), "batch": 4 * PROBED_BATCH})
    assert plans.plan(wide, ("fp32",)) is plans.plan(wider, ("fp32",))


def test_a_plan_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("")
    plans = Plans()
    plans.keep_in(tmp_path / "no folder" / "convolutions.jsonl")
    assert plans.plan(SMALL, ("fp32",)) is plans.plan(SMALL, ("fp32",))


def test_the_next_process_knows_what_was_measured(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "cache" / "convolutions.jsonl"
    first, second = Plans(), Plans()
    first.keep_in(path)
    plan = first.plan(SMALL, ("fp32",))
    second.keep_in(path)
    request.getfixturevalue("never_measures")
    assert second.plan(SMALL, ("fp32",)) == plan


def test_lines_that_cannot_be_read_are_passed_over(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "convolutions.jsonl"
    first = Plans()
    first.keep_in(path)
    plan = first.plan(SMALL, ("fp32",))
    whole = path.read_text()
    broken = [
        '{"key": "cut off',
        "[]",
        "null",
        '{"key": 1}',
        json.dumps({"key": "x", "plan": {"forward": 3}}),
    ]
    path.write_text("\n".join([*broken, whole.strip(), "\x00\x01"]))
    second = Plans()
    second.keep_in(path)
    request.getfixturevalue("never_measures")
    assert second.plan(SMALL, ("fp32",)) == plan


def test_plans_of_another_machine_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "convolutions.jsonl"
    first, second = Plans(), Plans()
    first.keep_in(path)
    first.plan(SMALL, ("fp32",))
    monkeypatch.setattr(plans_module, "_machine", lambda: "another")
    second.keep_in(path)
    second.plan(SMALL, ("fp32",))
    assert len(path.read_text().splitlines()) == 2


def _fields(case: Case) -> dict[str, object]:
    return {name: getattr(case, name) for name in case.__slots__}
