"""What is remembered and shown: domain types, database, API, dashboard, client, CLI. Never imports torch."""

__version__ = "0.1.0"
