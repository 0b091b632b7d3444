"""Latency of networks that were never measured, per device; numpy and scikit-learn only."""

from workers.prediction.predictor import (
    MIN_MEASUREMENTS,
    MIN_MEASUREMENTS_WITH_PRIOR,
    LatencyPredictor,
    Prediction,
)

__all__ = ["MIN_MEASUREMENTS", "MIN_MEASUREMENTS_WITH_PRIOR", "LatencyPredictor", "Prediction"]
