"""The worker's view of the service: one protocol, an SQL and an HTTP implementation."""
