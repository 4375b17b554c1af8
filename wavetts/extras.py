"""Packages that only some commands need, and the line that a user without them gets."""

from __future__ import annotations

import importlib.util

from wavetts.errors import UserError


def missing_extra(extra: str, *modules: str) -> str | None:
    """What to install for modules that cannot be found.

    Args:
        extra: the optional dependencies of pyproject.toml that bring them, such as "train".
        modules: top-level names, as they are imported.

    Returns:
        The command, "pip install 'wavetts[EXTRA]'"; None if all modules are installed.
    """
    if all(importlib.util.find_spec(name) for name in modules):
        return None
    return f"pip install 'wavetts[{extra}]'"


def require(task: str, extra: str, *modules: str) -> None:
    """Check that what a task needs is installed, before it starts.

    Args:
        task: what needs the modules, as the message's subject.
        extra: as for `missing_extra`.
        modules: as for `missing_extra`.

    Raises:
        UserError: a module is missing; the message names those that are, and the command that installs them.
    """
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        raise UserError(f"{task} needs {', '.join(absent)}: {missing_extra(extra, *absent)}")
