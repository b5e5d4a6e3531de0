"""A small file system of a test's own, that can be full or read-only."""

import os
import subprocess
import tempfile
from pathlib import Path

BLOCK_BYTES = 4096


class Volume:
    """A tmpfs mounted on `path`. Needs the right to mount, see `can_mount`."""

    def __init__(self, path, size="8m"):
        self.path = Path(path)
        self.path.mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.path)
        self.filler = self.path / "filler"

    def fill(self):
        """Leaves no room."""
        file = os.open(self.filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while True:
                os.write(file, bytes(BLOCK_BYTES))
        except OSError:
            pass
        finally:
            os.close(file)

    def free(self, size=None):
        """Makes room: so many bytes, or all that there was."""
        left = 0 if size is None else max(0, self.filler.stat().st_size - size)
        os.truncate(self.filler, left)

    def set_read_only(self, is_read_only):
        """Nobody may have a file open to write."""
        mount("-o", f"remount,{'ro' if is_read_only else 'rw'}", self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)


def mount(*args):
    subprocess.run(["mount", *args], check=True, capture_output=True)


def can_mount():
    """Whether this process may mount anything."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            with Volume(directory, "64k"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False
