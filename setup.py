"""Puts the migrations into a wheel: in a checkout they lie beside the package, installed inside it."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py


class WithMigrations(build_py):
    """Copies `alembic/` to `nas_service/migrations/`."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            inside = Path(self.build_lib) / "nas_service" / "migrations"
            copytree("alembic", inside, ignore=ignore_patterns("__pycache__"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithMigrations})
