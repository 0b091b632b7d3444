"""`nas doctor`: is everything there that server and workers need, and what to do where it is not."""

from nas_service.diagnosis.check import Check, Verdict, explained
from nas_service.diagnosis.report import diagnose

__all__ = ["Check", "Verdict", "diagnose", "explained"]
