"""Which room of the package imports which: `python tests/rooms.py [CHECKOUT]` prints the arrows and their imports."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


def imports(path: Path) -> Iterator[str]:
    """Names of wavetts' modules that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "wavetts")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wavetts":
            if node.module == "wavetts":
                yield from (f"wavetts.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room_of(module: str, package: Path) -> str:
    """The folder that a module is in, or "base" for those at the top of the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (package / parts[1]).is_dir() else "base"


def arrows(checkout: Path) -> dict[tuple[str, str], set[str]]:
    """(importing room, imported room) -> "module -> module" of every import between two rooms."""
    package, found = checkout / "wavetts", defaultdict(set)
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(checkout).with_suffix("")
        if relative.parts[1:] in {("__init__",), ("__main__",)}:
            continue  # the public front, which imports lazily, and `python -m wavetts`
        module = ".".join(relative.parts).removesuffix(".__init__")
        for name in imports(path):
            pair = room_of(module, package), room_of(name, package)
            if pair[0] != pair[1]:
                found[pair].add(f"{module} -> {name}")
    return found


if __name__ == "__main__":
    rows = arrows(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    for (source, target), examples in sorted(rows.items()):
        print(f"{source} -> {target}: {len(examples)} import{'s' * (len(examples) > 1)}")
        print("".join(f"    {example}\n" for example in sorted(examples)), end="")
