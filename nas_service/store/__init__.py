"""The database: tables, engine, migrations, and the few operations on them, each within one transaction."""
