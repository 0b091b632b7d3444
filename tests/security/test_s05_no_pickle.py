"""S5: nothing that is read can run: no pickle, no eval, no unsafe YAML, anywhere in the three packages."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import hostile_files as files
import httpx
import pytest
import yaml

from nas_service import plain_data
from nas_service.datasets import read_dataset
from nas_service.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("search_spaces", "nas_service", "workers")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"),
    *("pandas", "imp", "code", "codeop", "xmlrpc", "xml", "tarfile"),
}
FORBIDDEN_BUILTINS = {"eval", "exec", "compile", "__import__"}


RUNNING_CALLS = ("extractall", "os.system", "os.popen", "read_pickle")


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with what it calls, as the source writes it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(item.value) for item in call.keywords if item.arg == name), None)


def problems(source: str) -> list[str]:
    """Return every line of a source that could run what it reads."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"imports {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES]
    for function, call in called(tree):
        if function in FORBIDDEN_BUILTINS or function.endswith(RUNNING_CALLS):
            found.append(f"calls {function}")
        if function == "torch.load" and keyword(call, "weights_only") != "True":
            found.append("calls torch.load without weights_only=True")
        if function in ("torch.jit.load", "torch.export.load", "torch.hub.load", "torch.package"):
            found.append(f"calls {function}")
        if function.endswith((".load", ".read_array")) and keyword(call, "allow_pickle") == "True":
            found.append(f"calls {function} with allow_pickle=True")
        if function in ("np.load", "numpy.load") and keyword(call, "allow_pickle") != "False":
            found.append("calls np.load without allow_pickle=False")
        is_yaml = function in ("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load")
        if is_yaml and keyword(call, "Loader") not in ("_Loader", "yaml.SafeLoader", "yaml.CSafeLoader"):
            found.append(f"calls {function} without a safe loader")
        if keyword(call, "shell") == "True":
            found.append(f"calls {function} with a shell")
        if function == "importlib.import_module" and not isinstance(call.args[0], ast.Constant):
            found.append("imports a module that is named at run time")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "pandas.read_pickle(path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.full_load(text)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
        "importlib.import_module(name)",
        "archive.extractall(folder)",
    ],
)
def test_the_search_below_finds(source: str) -> None:
    assert problems(source)


def test_no_source_can_run_what_it_reads() -> None:
    assert len(SOURCES) > 100
    found = {str(path.relative_to(ROOT)): problems(path.read_text(encoding="utf-8")) for path in SOURCES}
    # Rows become a data frame there; nothing is read by pandas.
    known = {"nas_service/frames.py": ["imports pandas"]}
    assert {path: lines for path, lines in found.items() if lines} == known


def test_the_yaml_loader_is_a_safe_one() -> None:
    safe = (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert issubclass(plain_data._Loader, safe)


def test_pickles_in_any_file_are_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for name, content in files.pickles(marker).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InvalidInput):
            read_dataset(path)
    assert not marker.exists()


def test_uploaded_pickles_are_422(upload: Callable[..., httpx.Response], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for name, content in files.pickles(marker).items():
        assert upload(content, name).status_code == 422, name
    assert not marker.exists()
