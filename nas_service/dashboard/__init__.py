"""The web pages: studies, trials, families, data sets and workers, live and without a build step."""

from nas_service.dashboard.routes import STATIC, router

__all__ = ["STATIC", "router"]
