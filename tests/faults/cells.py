# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which faults a job is tried with: one cell is one run of one job with one fault, and maybe somebody beside it."""

import dataclasses
import re
import zlib

_MOST_NUMBERS = 10  # of one call
_MOST_HELD = 4  # of one call, for each of those who may come
_MOST_MESSAGES = 60  # within one call

# What a call may answer in earnest. lseek: an ENXIO of SEEK_DATA is a true answer, so it is no fault.
_ERRORS = {
    "open": ("EACCES", "EMFILE"), "pread": ("EIO",), "preadv2": ("EOPNOTSUPP", "EIO"), "pwrite": ("ENOSPC", "EIO"),
    "ftruncate": ("EFBIG", "EIO"), "fallocate": ("EOPNOTSUPP", "ENOSPC"), "fallocate.PUNCH_HOLE": ("EIO", "EOPNOTSUPP"),
    "fsync": ("EIO", "ENOSPC"), "rename": ("EIO", "EACCES"), "renameat2": ("EINVAL", "EACCES", "EIO", "EEXIST"),
    "link": ("EPERM", "EEXIST"), "linkat": ("EPERM", "EEXIST", "ENOENT"), "unlink": ("EACCES",),
    "unlinkat": ("EACCES",), "flock": ("ENOLCK", "EWOULDBLOCK"), "fcntl.F_OFD_GETLK": ("EINVAL", "ENOLCK"),
    "fcntl.F_OFD_SETLK": ("ENOLCK", "EAGAIN"), "fcntl.F_SETLEASE": ("EACCES", "EAGAIN"), "lseek.SEEK_DATA": ("EIO",),
    "lseek.SEEK_HOLE": ("EIO", "EINVAL"), "mmap": ("ENOMEM", "ENODEV"), "stat": ("EACCES",), "lstat": ("EACCES",),
    "statx": ("ENOSYS", "EACCES"), "ioctl.FICLONERANGE": ("EIO", "ENOSPC"), "ioctl.FIEMAP": ("EOPNOTSUPP", "EIO"),
    "thread": ("EAGAIN",),
    "rbd_open": ("ETIMEDOUT", "EPERM"), "rbd_create4": ("ETIMEDOUT", "ENOSPC"), "rbd_aio_write": ("ENOSPC", "ESHUTDOWN"),
    "rbd_rename": ("ETIMEDOUT", "EEXIST"), "rbd_read": ("EIO", "ESHUTDOWN"), "rbd_flush": ("ESHUTDOWN",),
    "rbd_lock_acquire": ("EROFS", "ETIMEDOUT"),
}
_DATA_CALLS = ("pread", "preadv2", "pwrite", "pwritev", "read", "write")
# Done, and reported as failed: a message that was lost on its way back.
_UNCERTAIN = ("renameat2", "rename", "linkat", "link", "unlink", "fsync", "rbd_create4", "rbd_rename", "rbd_remove",
              "rbd_flush", "rbd_close", "rbd_trash_move", "rados_lock_exclusive", "rados_unlock", "rados_write_op_operate")
# Dying inside of these changes nothing in the cluster.
_ASKING = re.compile(r"rados_(connect|ioctx|read|aio_read|stat|aio_stat|pool|cluster|list)|"
                     r"rbd_(open_read_only|open_by_id_read_only|stat|get|"
                     r"list|read|namespace|watchers|diff|snap_list|snap_is|snap_get)")


@dataclasses.dataclass(frozen=True)
class Cell:
    job: str
    call: str
    spec: str  # as the library takes it; a hold gets its file later
    beside: str = ""  # who comes while the run is held

    @property
    def kind(self):
        return self.beside or self.spec.split(":")[2]

    def __str__(self):
        return " ".join((self.job, self.spec, self.beside)).strip()


def _numbers(times, most):
    """From 1 to `times`: all, or those at both ends and some between."""
    if times <= most:
        return list(range(1, times + 1))
    step = (times - 1) / (most - 1)
    return sorted({round(1 + step * i) for i in range(most)})


def _faults(job, call, number, sent, verifies):
    name = call.split(".")[0]
    yield f"{call}:{number}:kill"
    yield f"{call}:{number}:kill-after"
    for message in range(1, sent + 1):
        yield f"{call}:{number}:kill-inside:{message}"
    is_ceph = name.startswith(("rbd_", "rados_"))
    for error in _ERRORS.get(call, ("ETIMEDOUT",) if is_ceph else ("EIO",)):
        yield f"{call}:{number}:fail:{error}"
    if call in _UNCERTAIN:
        yield f"{call}:{number}:fail-after:{'ETIMEDOUT' if is_ceph else 'EIO'}"
    if name in _DATA_CALLS:
        yield f"{call}:{number}:short"
        yield f"{call}:{number}:fail:EINTR"
    if call == "rbd_aio_write":
        yield f"{call}:{number}:fail-late:EIO"
    if verifies and call in ("pwrite", "rbd_aio_write"):
        yield f"{call}:{number}:lose"


def all_cells(job, scene, counts, wanted, besides):
    """Every cell of a job whose calls were counted; `wanted` says which calls."""
    verifies = "--verify" in scene.command
    cells = []
    for call, (times, sent) in sorted(counts.items()):
        if not wanted(call):
            continue
        for number in _numbers(times, _MOST_NUMBERS):
            inside = number <= len(sent) and not _ASKING.match(call)
            messages = min(sent[number - 1], _MOST_MESSAGES) if inside else 0
            cells += [Cell(job, call, spec) for spec in _faults(job, call, number, messages, verifies)]
        for number in _numbers(times, _MOST_HELD):
            cells += [Cell(job, call, f"{call}:{number}:hold", who) for who in besides]
        for error in _ERRORS.get(call, ())[:1]:  # a disk that is full stays full
            cells.append(Cell(job, call, f"{call}:1+:fail:{error}"))
        cells += [Cell(job, call, f"{call}:{times}:hold-after", who) for who in besides]
    return cells


def sample(cells, most):
    """Some of them, the same each time: first what brings a new call and a new kind, and what changes something."""
    left = sorted(cells, key=lambda cell: (bool(_ASKING.match(cell.call)), zlib.crc32(str(cell).encode())))
    chosen, calls, kinds = [], set(), set()
    while left and len(chosen) < most:
        cell = max(left, key=lambda cell: (cell.call not in calls) + (cell.kind not in kinds))  # the first of the best
        left.remove(cell)
        chosen.append(cell)
        calls.add(cell.call)
        kinds.add(cell.kind)
    return chosen
