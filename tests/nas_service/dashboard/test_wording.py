from datetime import UTC, datetime, timedelta

import pytest

from nas_service.dashboard.wording import (
    ago_text,
    bytes_text,
    duration_text,
    latency_facts,
    limit_text,
    share_text,
    value_text,
)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("accuracy", 0.98526, "98.53 %"),
        ("accuracy", 1.0, "100.00 %"),
        ("error", 0.0123, "1.23 %"),
        ("f1_macro", 0.9123, "91.23 %"),
        ("params", 48_210.0, "48,210"),
        ("macs", 2_419_616, "2,419,616"),
        ("latency_ms", 0.412345, "0.412 ms"),
        ("latency_ms", 12.345, "12.3 ms"),
        ("latency_ms", 1234.5, "1,234 ms"),
        ("model_bytes", 156_672, "157 kB"),
        ("peak_activation_bytes", 512, "512 B"),
        ("latency_ms", None, "–"),
        ("accuracy", float("nan"), "–"),
        ("unheard_of", 3.14159, "3.14"),
    ],
)
def test_a_figure_is_written_with_its_unit(metric: str, value: float | None, text: str) -> None:
    assert value_text(metric, value) == text


def test_a_latency_limit_names_its_statistic() -> None:
    assert limit_text("latency_ms", 4.0, "p90") == "4 ms (p90)"
    assert limit_text("params", 50_000, "median") == "50,000"


def test_a_measurement_is_told_in_words_without_its_hash() -> None:
    measured = {
        "network_hash": "ab" * 32,
        "median_ms": 0.41,
        "high_ms": 0.43,
        "rounds": 45,
        "is_noisy": False,
    }
    assert latency_facts(measured) == [
        ("Median", "0.410 ms"),
        ("Median at most", "0.430 ms"),
        ("Rounds", "45"),
        ("Noisy", "no"),
    ]


def test_a_median_without_drift_is_told_apart_from_runs_with_it() -> None:
    measured = {"median_ms": 0.0351, "min_ms": 0.0372, "reference_ms": 0.021}
    assert [name for name, _ in latency_facts(measured)] == [
        "Median, drift divided out",
        "Shortest run, as it ran",
        "Reference network, as it ran",
    ]


def test_bytes_use_decimal_units() -> None:
    assert [bytes_text(size) for size in (999, 1000, 2_500_000, 7.2e9)] == [
        "999 B",
        "1.00 kB",
        "2.50 MB",
        "7.20 GB",
    ]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0004, "under 0.1 %"),
        (0.034, "3.4 %"),
        (0.634, "63 %"),
        (0.9996, "over 99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_never_rounds_to_nothing_or_to_everything(share: float, text: str) -> None:
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.042, "42 ms"),
        (7.31, "7.3 s"),
        (42, "42 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "just now"), (30, "30 s ago"), (150, "2 min ago"), (7200, "2 h ago"), (400_000, "4 d ago")],
)
def test_a_moment_is_told_by_its_distance(seconds: int, text: str) -> None:
    now = datetime(2026, 1, 10, tzinfo=UTC)
    assert ago_text(now - timedelta(seconds=seconds), now) == text


def test_a_moment_without_zone_is_taken_as_utc() -> None:
    now = datetime(2026, 1, 10, tzinfo=UTC)
    assert ago_text(datetime(2026, 1, 9, 23, 59, 30), now) == "30 s ago"
