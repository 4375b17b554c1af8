"""The complete configs that come with the package, by name."""

from __future__ import annotations

import os
from pathlib import Path

from wavetts.errors import UserError


def list_configs() -> dict[str, Path]:
    """The files by their names: data of an installation, `recipes/train` of a checkout."""
    folders = Path(__file__).with_name("recipes"), Path(__file__).parents[2] / "recipes" / "train"
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def describe_config(path: Path) -> str:
    """What a config is for: the first sentence of the comment that it begins with."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines).partition(". ")[0].rstrip(".")


def find_config(word: str | Path) -> Path:
    """The file of a config.

    Args:
        word: its name, as `list_configs` gives it, or a path. Names come first, unless the word looks like a path: a
            separator in it, or .yaml at the end.

    Raises:
        UserError: there is no such config.
    """
    configs, path = list_configs(), Path(word)
    is_path = os.sep in str(word) or path.suffix.lower() in (".yaml", ".yml")
    if not is_path and str(word) in configs:
        return configs[str(word)]
    if not path.exists():
        raise UserError(f"{word}: no such config file; configs that have a name are {', '.join(configs)}")
    return path
