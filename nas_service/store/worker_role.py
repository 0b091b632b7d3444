"""The least that a role of PostgreSQL needs for workers that use the database directly."""

import re

from nas_service.errors import FieldError, InvalidInput

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
READ, ADD, WORK = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"
# What is not named here - tokens, sessions, answers kept by key, the audit log - a worker cannot read.
GRANTS = {
    "alembic_version": READ,
    "studies": "SELECT, UPDATE",
    "spaces": READ,
    "datasets": READ,
    "trials": WORK,
    "epochs": WORK,
    "repeats": ADD,
    "forbidden": ADD,
    "seats": ADD,
    "study_attributes": ADD,
    "events": ADD,
    "workers": WORK,
    "measurements": WORK,
    "measurement_requests": WORK,
    "jobs": WORK,
    "artifacts": WORK,
}
# Rows of these are numbered by a sequence.
NUMBERED = (
    "trials",
    "repeats",
    "forbidden",
    "events",
    "workers",
    "measurements",
    "measurement_requests",
    "jobs",
)


def statements(name: str, database: str) -> list[str]:
    """Return the SQL that makes the role; the owner of the tables runs it, again after each upgrade.

    Args:
        name: Of the role.
        database: The database's name.

    Raises:
        InvalidInput: The name would need quoting.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(FieldError("NAME", f"{name[:80]!r} is no plain name", "a-z, 0-9 and _, up to 63"))
    return [
        f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;",
        f'GRANT CONNECT ON DATABASE "{_quoted(database)}" TO {name};',
        f"GRANT USAGE ON SCHEMA public TO {name};",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name};",
        *(f"GRANT {rights} ON {table} TO {name};" for table, rights in GRANTS.items()),
        *(f"GRANT USAGE ON SEQUENCE {table}_{_key(table)}_seq TO {name};" for table in NUMBERED),
    ]


def _key(table: str) -> str:
    return "sequence" if table == "events" else "id"


def _quoted(name: str) -> str:
    return name.replace('"', '""')
