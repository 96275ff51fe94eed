# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a run needs around it: images, a Ceph, a place for results, caches in a known state."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import time

import cases
import measure

_DROP_CACHES = "/proc/sys/vm/drop_caches"
_MIB = 1 << 20
_BASE = "debian-sparse.raw"
_DEBIAN_MIB = 768  # the data of the guest, with room for what a file system and Ceph add


def make_images(root, options, chosen):
    """Makes the images that the cases need, and returns their directory."""
    images = options.dir / "images"
    images.mkdir(parents=True, exist_ok=True)
    if options.tiny:
        make_tiny_images(images)
        return images
    # Results are removed at once, so there is only ever one; and make-image looks after the space for its images.
    dense = any(case.image == "dense.raw" for case in chosen)
    need = 1024 + (options.dense_size * 5 // 4 if dense else _DEBIAN_MIB)
    free = shutil.disk_usage(images).free // _MIB
    if free < need:
        raise measure.BenchError(f"{options.dir} has {free} MiB free; the results need about {need}")
    names = {name for case in chosen for name in (case.image, case.reference, case.other) if name}
    foreign = sorted(name for name in names if name.rpartition(".")[2] in cases.FOREIGN)
    names = sorted(names.difference(foreign) | ({_BASE} if foreign else set()))
    command = [root / "tools" / "make-image", "--dir", images, "--dense-size", str(options.dense_size), *names]
    if subprocess.run(command, stdout=2, check=False).returncode != 0:
        raise measure.BenchError("the images could not be made")
    make_foreign_images(images, foreign)
    free = shutil.disk_usage(images).free // _MIB
    if free < need:
        raise measure.BenchError(f"{options.dir} has {free} MiB left beside the images; the results need about {need}")
    return images


def make_foreign_images(images, names):
    """In the formats of other hypervisors, by QEMU."""
    base = images / _BASE
    for name in names:
        image = images / name
        if not image.exists() or image.stat().st_mtime < base.stat().st_mtime:
            part = images / f".part-{name}"
            must("qemu-img", "convert", "-f", "raw", "-O", name.rpartition(".")[2], base, part)
            part.rename(image)


def make_tiny_images(images):
    """Stand-ins for those of tools/make-image: everything runs, and no figure means anything."""
    raw = images / "debian.raw"
    raw.write_bytes(b"".join((os.urandom(_MIB), bytes(2 * _MIB), b"text\n" * 100000)).ljust(8 * _MIB, b"\0"))
    (images / "dense.raw").write_bytes(os.urandom(8 * _MIB))
    (images / "empty.raw").write_bytes(b"")
    os.truncate(images / "empty.raw", 1 << 30)
    must("cp", "--sparse=always", raw, images / "debian-sparse.raw")
    for name, *options in (("debian",), ("debian-zlib", "-c"), ("debian-zstd", "-c", "-o", "compression_type=zstd"),
                           ("million",)):
        must("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, images / f"{name}.qcow2")
    make_foreign_images(images, [f"debian.{kind}" for kind in cases.FOREIGN])


@contextlib.contextmanager
def ceph(root, lab_dir, needed):
    """Sees to it that CEPH_CONF names a cluster: the caller's, or a lab of ours for as long as this lasts."""
    if not needed or os.environ.get("CEPH_CONF"):
        yield
        return
    lab = str(root / "tools" / "lab")
    environment = {**os.environ, "VMFERRY_LAB": str(lab_dir)}
    try:
        if subprocess.run([lab, "up", "ceph"], env=environment, stdout=2, check=False).returncode != 0:
            raise measure.BenchError("the lab does not start")
        for name in ("CEPH_ARGS", "CEPH_KEYRING"):
            os.environ.pop(name, None)
        script = 'exports=$("$1" env) && eval "$exports" && printf %s "$CEPH_CONF"'
        os.environ["CEPH_CONF"] = subprocess.run(["bash", "-c", script, "bash", lab], env=environment, check=True,
                                                 stdout=subprocess.PIPE, text=True).stdout
        yield
    finally:
        subprocess.run([lab, "down"], env=environment, stdout=2, check=False)


@contextlib.contextmanager
def web_server(root, images, needed):
    """The address at which the images are served, each answer 20 ms late; None if no case needs it."""
    if not needed:
        yield None
        return
    port = images / "web.port"
    port.unlink(missing_ok=True)
    command = (root / "tests" / "cli" / "range_server", "--port-file", port, "--delay", "20", images)
    with subprocess.Popen(command, stdout=2) as server:
        try:
            end = time.monotonic() + 10
            while not port.exists():
                if server.poll() is not None or time.monotonic() > end:
                    raise measure.BenchError("the web server does not start")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port.read_text(encoding='ascii').strip()}"
        finally:
            server.terminate()
            port.unlink(missing_ok=True)


# ---- caches --------------------------------------------------------------------------------------------------------

def can_drop_caches():
    return os.access(_DROP_CACHES, os.W_OK)


def settle(cold):
    """No run pays for what the one before has left to write. A cold one starts with nothing in memory, either."""
    os.sync()
    if cold:
        with open(_DROP_CACHES, "w", encoding="ascii") as file:
            file.write("3\n")


def warm_up(path):
    with open(path, "rb") as source:
        subprocess.run(["cat"], stdin=source, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def written_anew(path):
    """The same bytes in a file that the page cache holds as it was written: by 4 KiB, as guests and many tools do."""
    copy = path.with_name("written.raw")
    try:
        must("dd", f"if={path}", f"of={copy}", "bs=4k", "conv=fsync")
        yield copy
    finally:
        copy.unlink(missing_ok=True)


@contextlib.contextmanager
def served(path, image_format, directory):
    """The address of a qemu-nbd that reads `path`, over as many connections as come."""
    directory.mkdir(parents=True, exist_ok=True)
    socket = directory / "nbd.sock"
    socket.unlink(missing_ok=True)
    with subprocess.Popen(("qemu-nbd", "--read-only", "--persistent", "--shared", "0", "--format", image_format,
                           "--socket", socket, path)) as server:
        try:
            for _ in range(100):
                if socket.is_socket():
                    break
                time.sleep(0.05)
            yield f"nbd+unix:///?socket={socket}"
        finally:
            server.terminate()


# ---- the results ---------------------------------------------------------------------------------------------------

class Target:
    """The one name that all results get, as a file and as a volume; and the volume that is a source."""

    def __init__(self, directory, pool):
        directory.mkdir(parents=True, exist_ok=True)
        name = f"vmferry-bench-{os.getpid()}"
        self.path = directory / f"{name}.raw"
        self.pool = pool
        self.rbd_name = f"{pool}/{name}"
        self.rbd_url = f"rbd:{pool}/{name}"
        self.rados_run = name
        self._source = f"{pool}/{name}-source"
        self._imported = None

    def remove(self, is_volume):
        if not is_volume:
            self.path.unlink(missing_ok=True)
            return
        if _answer("rbd", "info", self.rbd_name) is not None:
            must("rbd", "rm", "--no-progress", self.rbd_name)

    def imported(self, path):
        """A volume with the bytes of `path`, as vmferry and qemu-img name it."""
        if self._imported != path:
            self.remove_source()
            must("rbd", "import", "--no-progress", path, self._source)
            self._imported = path
        return f"rbd:{self._source}"

    def remove_source(self):
        if self._imported:
            must("rbd", "rm", "--no-progress", self._source)
            self._imported = None

    def remove_bench_objects(self):
        must("rados", "-p", self.pool, "cleanup", "--run-name", self.rados_run)

    def allocated(self):
        return self.path.stat().st_blocks * 512

    def check(self, case, reference):
        """The result shows a guest the same bytes as `reference`, according to tools that are not ours."""
        if case.makes_volume:
            self._check_volume(reference)
        elif case.makes != "raw":
            must("qemu-img", "check", "-q", "-f", case.makes, self.path)
            if _answer("qemu-img", "compare", "-f", "raw", "-F", case.makes, reference, self.path) is None:
                raise measure.BenchError("the result differs from its source")
        elif is_all_hole(reference):
            if self.path.stat().st_size != reference.stat().st_size or not is_nearly_all_hole(self.path):
                raise measure.BenchError("the result is not the hole that its source is")
        elif _answer("cmp", reference, self.path) is None:
            raise measure.BenchError("the result differs from its source")

    def _check_volume(self, reference):
        info = json.loads(must("rbd", "info", "--format", "json", self.rbd_name))
        if info["size"] != reference.stat().st_size:
            raise measure.BenchError(f"the volume has {info['size']} bytes, its source {reference.stat().st_size}")
        if _answer("qemu-img", "compare", "-f", "raw", "-F", "raw", reference, self.rbd_url) is None:
            raise measure.BenchError("the volume differs from its source")


def data_extents(file):
    end = 0
    while True:
        try:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        yield start, end - start


def is_all_hole(path):
    """No data at all: this proves zeros without reading 8 TiB of them."""
    with open(path, "rb") as file:
        return next(data_extents(file), None) is None


def is_nearly_all_hole(path):
    """A tool may allocate a block to learn the file system's ways, if it holds zeros."""
    seen = 0
    with open(path, "rb") as file:
        for start, length in data_extents(file):
            seen += length
            if seen > _MIB or any(os.pread(file.fileno(), length, start)):
                return False
    return True


def check_same_output(commands):
    """What only prints has to print the same, whoever does it. qemu-img says what is compressed since 8.2."""
    digests = set()
    for command in commands:
        digest = hashlib.sha256()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for line in process.stdout:
                digest.update(line.replace(b', "compressed": false', b""))
        digests.add(digest.digest())
        if process.returncode != 0:
            raise measure.BenchError(f"{' '.join(map(str, command))}: exit status {process.returncode}")
    if len(digests) != 1:
        raise measure.BenchError("the tools do not print the same")


def _answer(*command):
    """The output, or None if the command says no."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def must(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise measure.BenchError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout
