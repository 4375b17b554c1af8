"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from wavetts.errors import UserError


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a whole file under a temporary name in the same folder and rename it.

    Args:
        path: the file to make or replace; its folder is made if it is not there.
        data: the contents; a string is written as UTF-8.

    Raises:
        UserError: the disk is full, the folder may not be written to, or the like; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            # On the disk before the name is: else a power cut could leave an empty file under it.
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; mend that and run the same command again") from error
    finally:
        # After a successful rename there is nothing to remove; after any failure the half-written file goes.
        with contextlib.suppress(OSError):
            temporary.unlink()


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed `write_atomic` left in a folder."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
