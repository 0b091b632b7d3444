"""REST under /api/v1: one router a resource. Handlers call the service and hold no rules of their own."""

PREFIX = "/api/v1"
