"""Who may import whom: in one direction, from source and face through avatar and player to stream.

All imports count, those within functions and for type checkers only, too: what a module needs to
be understood it depends on, whenever it is loaded.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from bithuman_cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PROJECT = ("engine", "bithuman_cli", "benchmarks")
LATER = {
    "engine.face": ("engine.essence", "engine.expression", "engine.stream"),
    "engine.motion": ("engine.face", "engine.essence", "engine.expression", "engine.stream"),
    "engine.speech": ("engine.face", "engine.essence", "engine.expression", "engine.stream"),
    "engine.imx": ("engine.face", "engine.essence", "engine.expression", "engine.stream"),
    "engine.video": ("engine.essence", "engine.expression", "engine.stream"),
    "engine.essence": ("engine.expression", "engine.stream"),
    "engine.expression": ("engine.essence", "engine.stream"),
    "engine.stream": ("bithuman_cli",),
}
"""Packages, and those that come after them or beside them."""
OF_THE_SERVER = {
    "bithuman_cli",
    "bithuman_cli.addresses",
    "bithuman_cli.environment",
    "bithuman_cli.resources",
}
"""What the server may take of the command line: no command, no option, no output."""

Graph = Mapping[str, set[str]]


def read(root: Path, *packages: str) -> Graph:
    """Modules of packages below a folder, each with those of them that it imports."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }
    return {
        name: {found for found in _imported(path.read_text("utf-8"), files) if found != name}
        for name, path in files.items()
    }


def _imported(source: str, modules: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not followed"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in inner]
        else:
            continue
        yield from (name for name in names if name in modules)


def circle(graph: Graph) -> list[str] | None:
    """A way through imports back to where it began, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return None


def by_package(graph: Graph) -> Graph:
    """The same between packages and modules of the second level, such as ``engine.face``."""
    packages: dict[str, set[str]] = {}
    for name, imported in graph.items():
        package = _package(name)
        others = {_package(other) for other in imported} - {package}
        packages.setdefault(package, set()).update(others)
    return packages


def _package(name: str) -> str:
    return ".".join(name.split(".")[:2])


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def imports(graph: Graph, package: str, unwanted: Callable[[str], bool]) -> list[str]:
    """What members of a package import that they should not."""
    return [
        f"{name} imports {other}"
        for name in graph
        if within(name, package)
        for other in graph[name]
        if unwanted(other)
    ]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read(ROOT, *PROJECT)


def test_modules_import_in_one_direction(graph: Graph) -> None:
    assert circle(graph) is None


def test_packages_import_in_one_direction(graph: Graph) -> None:
    assert circle(by_package(graph)) is None


@pytest.mark.parametrize("package", LATER)
def test_nothing_imports_what_comes_after_it(graph: Graph, package: str) -> None:
    assert any(within(name, package) for name in graph)
    assert not imports(
        graph, package, lambda other: any(within(other, later) for later in LATER[package])
    )


def test_the_engine_imports_nothing_of_what_is_made_with_it(graph: Graph) -> None:
    assert not imports(graph, "engine", lambda other: not within(other, "engine"))


def test_the_server_imports_no_command(graph: Graph) -> None:
    def of_a_command(other: str) -> bool:
        return (
            within(other, "bithuman_cli")
            and not within(other, "bithuman_cli.server")
            and other not in OF_THE_SERVER
        )

    assert not imports(graph, "bithuman_cli.server", of_a_command)


def test_no_command_imports_another(graph: Graph) -> None:
    commands = {f"bithuman_cli.{command.module}" for command in COMMANDS.values()}
    assert commands <= set(graph)
    found = [
        f"{name} imports {other}"
        for name in sorted(commands)
        for other in graph[name] & commands - {name}
    ]
    assert not found


@pytest.mark.parametrize(
    "back",
    [
        "from p.a import thing\n",
        "import p.a\n",
        "from p import a\n",
        "def later():\n    from p import a\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import Thing\n",
    ],
)
def test_a_circle_is_found(tmp_path: Path, back: str) -> None:
    package = tmp_path / "p"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("from p.b import other\n")
    (package / "b.py").write_text("import p.c\n")
    (package / "c.py").write_text("")
    assert circle(read(tmp_path, "p")) is None
    (package / "c.py").write_text(back)
    found = circle(read(tmp_path, "p"))
    assert found is not None
    assert set(found) == {"p.a", "p.b", "p.c"}


def test_a_circle_of_packages_is_found(tmp_path: Path) -> None:
    for module, source in {
        "p/x/one.py": "from p.y.one import a\n",
        "p/x/two.py": "",
        "p/y/one.py": "",
        "p/y/two.py": "from p.x.two import b\n",
    }.items():
        path = tmp_path / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    graph = read(tmp_path, "p")
    assert circle(graph) is None
    assert set(circle(by_package(graph)) or ()) == {"p.x", "p.y"}
