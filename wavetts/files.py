"""Reading text files, and writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

from wavetts.errors import UserError

# As `temporary_path` names them.
_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp")


def temporary_path(path: Path) -> Path:
    """Where this process writes a file before it is renamed; in the same folder, so that renaming moves nothing."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a whole file under a temporary name in the same folder and rename it.

    What a link points to is replaced, not the link; a named pipe or a device is written to.

    Args:
        path: the file to make or replace; its folder is made if it is not there.
        data: the contents; a string is written as UTF-8.

    Raises:
        UserError: the disk is full, the folder may not be written to, or the like; nothing is left behind.
    """
    data = data.encode() if isinstance(data, str) else data
    place = Path(os.path.realpath(path))
    temporary = temporary_path(place)
    try:
        if place.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))  # links that lead to each other
        if place.exists() and not place.is_file() and not place.is_dir():
            place.write_bytes(data)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            # On the disk before the name is: else a power cut could leave an empty file under it.
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; mend that and run the same command again") from error
    finally:
        # After a successful rename there is nothing to remove; after any failure the half-written file goes.
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_utf8(path: Path) -> str:
    """The contents of a UTF-8 file.

    Raises:
        UserError: it cannot be read or is not UTF-8; the message names the line.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return decode_utf8(data, str(path))


def decode_utf8(data: bytes, source: str) -> str:
    """UTF-8 to text, without a byte order mark.

    Args:
        data: the bytes.
        source: where they are from, for the message.

    Raises:
        UserError: it is not UTF-8; the message names the line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{source}:{line}: not UTF-8 (byte 0x{data[error.start]:02x}); convert the file") from None


def numbered_lines(content: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines that are not blank.

    Only line feeds end a line: `splitlines` also splits at U+2028 and form feeds, and the numbers would not be an
    editor's.
    """
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises:
        UserError: a file is in the way, or the folder may not be made there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}; choose another") from error


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed `write_atomic` left in a folder; those of running processes, and other files, stay."""
    for leftover in folder.glob(".*.tmp"):
        name = _TEMPORARY.fullmatch(leftover.name)
        if name and not _runs(int(name["pid"])):
            leftover.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    """Whether there is a process of this number, as far as can be told here."""
    if os.name != "posix":
        # There, `os.kill` would end it.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


@contextlib.contextmanager
def locked(path: Path, what: str) -> Generator[None]:
    """A context in which no other process is inside `locked` of the same file; the file is there only meanwhile.

    Args:
        path: of the lock file; its folder is made if it is not there, and removed again if it is empty in the end.
        what: that is protected, for the message.

    Raises:
        UserError: another process is inside, or the file cannot be made.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    created = not path.parent.exists()
    make_folder(path.parent)
    while True:
        try:
            file = path.open("a+")
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror}; mend that and run the same command again"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read(20).strip()
            file.close()
            process = f"process {who}" if who.isdigit() else "another process"
            raise UserError(f"{what}: {process} is writing there; wait for its end, or choose another folder") from None
        except OSError:
            pass  # a file system without locks
        # Who had it before may have removed it between the two.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()
    with file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            if created:
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
