"""A memory cgroup of this process alone: what the kernel charges it for."""

import contextlib
import os
import subprocess
import tempfile
import time

# The kernel adds up what its CPUs counted every two seconds, or when it is much.
PATIENCE_SECONDS = 10


class MemoryGroup:
    def __init__(self, folder):
        self.folder = folder

    def slab_bytes(self):
        """Of structures in the kernel; a moment late."""
        with open(f"{self.folder}/memory.stat") as file:
            return int(dict(line.split() for line in file)["slab"])

    def slab_bytes_above(self, before, least):
        """What it is charged for beyond `before`, once that is `least`; else after a while."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            more = self.slab_bytes() - before
            if more >= least or time.monotonic() > until:
                return more
            time.sleep(0.1)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


@contextlib.contextmanager
def memory_group():
    """Moves this process into a cgroup, and back."""
    root = tempfile.mkdtemp()
    subprocess.run(["mount", "-t", "cgroup2", "none", root], check=True)
    folder = f"{root}/{os.getpid()}"
    try:
        write(f"{root}/cgroup.subtree_control", "+memory")
        os.mkdir(folder)
        write(f"{folder}/cgroup.procs", "0")
        yield MemoryGroup(folder)
    finally:
        write(f"{root}/cgroup.procs", "0")
        os.rmdir(folder)
        subprocess.run(["umount", root], check=True)
        os.rmdir(root)
