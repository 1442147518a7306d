"""Imports run one way: a package knows those beneath it, never those above, and no package knows a script."""

import ast
import graphlib
from pathlib import Path

import pytest
from support import ROOT

# What each package may import besides itself and the flat modules of utils/, which import only each other.
ALLOWED = {
    "media": set(),
    "faces": {"media"},
    "networks": {"faces", "media"},
    "features": {"networks", "faces", "media"},
    "heads": {"features", "faces", "media"},
    "recognition": {"heads", "features", "faces", "media"},
    "display": {"media"},
    "capture": {"display", "faces", "media"},
    "live": {"recognition", "heads", "features", "faces", "display", "media"},
    "finding": {"live", "recognition", "heads", "features", "faces", "display", "media"},
    "evaluation": {"recognition", "heads", "features", "faces", "media"},
    "synthetic": {"media"},
    "export": {"recognition", "heads", "features", "networks", "faces", "media", "synthetic"},
}
MODULES = sorted((ROOT / "utils").rglob("*.py"))
SCRIPTS = {path.stem for path in ROOT.glob("*.py")}


def imported_modules(source: str) -> set[str]:
    """Every module that a source names in an import, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package_of(module: str) -> str:
    """The package of "utils.heads.head", "heads"; "" for a flat module such as "utils.cli"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / "utils" / parts[1]).is_dir() else ""


def forbidden_imports(package: str, source: str) -> set[str]:
    """What a module of a package ("" for a flat one) must not import of what its source imports."""
    names = imported_modules(source)
    allowed = ALLOWED[package] | {package, ""} if package else {""}
    backward = {name for name in names if name.startswith("utils.") and package_of(name) not in allowed}
    return backward | {name for name in names if name.split(".")[0] in SCRIPTS}


def test_every_package_has_its_place():
    assert {path.name for path in (ROOT / "utils").iterdir() if (path / "__init__.py").is_file()} == ALLOWED.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path):
    package = path.parent.name if path.parent.name != "utils" else ""
    assert forbidden_imports(package, path.read_text(encoding="utf-8")) == set()


def test_modules_import_each_other_in_no_circle():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    graph = {name: imported_modules(path.read_text(encoding="utf-8")) & names.keys() for name, path in names.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_an_init_is_one_docstring_line():
    for path in MODULES:
        if path.name == "__init__.py":
            (statement,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(statement, ast.Expr) and "\n" not in statement.value.value, path


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("faces", "from utils.heads.head import Head"),
        ("capture", "from utils import live"),
        ("", "def late():\n    import utils.media.images"),
        ("live", "import train"),
    ],
)
def test_a_backward_import_is_noticed(package, source):
    assert forbidden_imports(package, source)
