"""Operations, one file each: importing this package registers every file in it."""

from importlib import import_module
from pkgutil import iter_modules

from search_spaces.operations.operation import Operation, create, get, names, options, read, register

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Operation", "create", "get", "names", "options", "read", "register"]
