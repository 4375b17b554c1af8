"""Imports between rooms go one way; a new arrow is a decision, made in this table."""

from __future__ import annotations

import re

from paths import ROOT
from rooms import arrows

# What each room may import, besides the modules at the top of the package ("base").
ALLOWED = {
    "base": set(),
    "config": set(),
    "text": set(),
    "audio": set(),
    "corpus": {"config", "text", "audio"},
    "model": {"config", "text"},
    "training": {"config", "text", "audio", "corpus", "model"},
    "runtime": {"model"},
    "synthesis": {"config", "text", "audio", "corpus", "model", "runtime"},
    "evaluation": {"config", "text", "audio", "corpus", "training", "synthesis"},
    "analysis": {"audio", "corpus", "model", "synthesis", "evaluation"},
    "server": {"audio", "synthesis"},
    "demo": {"audio", "model", "synthesis"},
    "cli": {"config", "text", "audio", "corpus", "model", "training", "synthesis"}
    | {"evaluation", "analysis", "server", "demo"},
}


def test_rooms_import_only_what_they_may():
    forbidden = {
        pair: examples
        for pair, examples in arrows(ROOT).items()
        if pair[1] != "base" and pair[1] not in ALLOWED[pair[0]]
    }
    assert not forbidden


def test_every_allowed_arrow_points_up_the_map():
    """So that reading the map downwards is following the data, and there is no cycle."""
    order = list(ALLOWED)
    for room, targets in ALLOWED.items():
        assert all(order.index(target) < order.index(room) for target in targets), room


def test_the_map_in_the_docs_is_the_table():
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| ([\w, ]*) ?\|$", (ROOT / "docs" / "code.md").read_text(encoding="utf-8"), re.M
    )
    mapped = {room: set(targets.replace(",", " ").split()) for room, targets in rows if room != "cli"}
    assert mapped == {room: ALLOWED[room] for room in ALLOWED if room not in ("base", "cli")}


def test_the_package_has_no_other_rooms_and_imports_no_recipes():
    package = ROOT / "wavetts"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms == set(ALLOWED) - {"base"}
    for path in package.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) recipes\b", path.read_text(encoding="utf-8"), re.M), path
