# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cluster as a witness: asked through Ceph's own Python bindings, not through the program."""

import contextlib
import json
import os
import threading

import rados
import rbd

POOL = "rbd"


class Cluster:
    """One connection for all cells. Any thread may ask."""

    def __init__(self):
        self._rados = rados.Rados(conffile=os.environ["CEPH_CONF"])
        self._rados.connect()
        self._lock = threading.Lock()
        self._ios = {}

    def close(self):
        for io in self._ios.values():
            io.close()
        self._rados.shutdown()

    def io(self, namespace):
        """Makes the namespace if there is none of that name."""
        with self._lock:
            if namespace not in self._ios:
                io = self._rados.open_ioctx(POOL)
                if namespace and not rbd.RBD().namespace_exists(io, namespace):
                    rbd.RBD().namespace_create(io, namespace)
                io.set_namespace(namespace)
                self._ios[namespace] = io
            return self._ios[namespace]

    @contextlib.contextmanager
    def short_watches(self):
        """A client that was killed is forgotten after 5 seconds instead of 30."""
        name = "osd_client_watch_timeout"
        self._command(prefix="config set", who="osd", name=name, value="5")
        try:
            yield
        finally:
            self._command(prefix="config rm", who="osd", name=name)

    def _command(self, **words):
        status, _, said = self._rados.mon_command(json.dumps(words), b"")
        if status != 0:
            raise RuntimeError(f"{words}: {said}")

    # ---- volumes

    def make(self, namespace, name, disk):
        rbd.RBD().create(self.io(namespace), name, disk.size, old_format=False)
        with rbd.Image(self.io(namespace), name) as image:
            for offset, length in disk.pieces:
                image.write(disk.content[offset:offset + length], offset)
            image.flush()

    @contextlib.contextmanager
    def volume(self, namespace, name, snapshot=None):
        with rbd.Image(self.io(namespace), name, snapshot) as image:
            yield image

    def read(self, namespace, name, snapshot=None):
        """All its bytes; None if there is none."""
        try:
            with rbd.Image(self.io(namespace), name, snapshot, read_only=True) as image:
                size = image.size()
                return image.read(0, size) if size else b""
        except rbd.ImageNotFound:
            return None

    def remove(self, namespace, name):
        rbd.RBD().remove(self.io(namespace), name)

    # ---- what is left

    def traces(self, namespace, name, known_ids):
        """Everything whose name begins with `name`: volumes, what is in the trash, objects on their own. `known_ids`
        collects the ids that were seen under such names; their objects are traces when the volume is gone."""
        io = self.io(namespace)
        volumes = {volume["name"]: volume["id"] for volume in rbd.RBD().list2(io) if volume["name"].startswith(name)}
        trash = {thing["id"]: thing["name"] for thing in rbd.RBD().trash_list(io) if thing["name"].startswith(name)}
        objects = {thing.key for thing in io.list_objects()}
        names = {thing for thing in objects if name in thing}
        known_ids |= set(volumes.values()) | set(trash)
        known_ids |= {self._id_in(io, thing) for thing in names if thing.startswith("rbd_id.")}
        accounted = set(volumes.values()) | set(trash)
        orphans = {thing for thing in objects if set(thing.split(".")) & (known_ids - accounted)}
        return (set(volumes) | {f"{gone} in the trash" for gone in trash.values()} | orphans |
                (names - {"rbd_id." + volume for volume in volumes}))

    @staticmethod
    def _id_in(io, name):
        try:
            return io.read(name)[4:].decode()  # behind its length
        except rados.ObjectNotFound:
            return ""

    def forget(self, namespace, name):
        """Removes all that begins with `name`, with snapshots, as far as it goes."""
        io = self.io(namespace)
        for volume in rbd.RBD().list(io):
            if volume.startswith(name):
                with contextlib.suppress(rbd.Error):
                    with rbd.Image(io, volume) as image:
                        for snapshot in list(image.list_snaps()):
                            image.remove_snap(snapshot["name"])
                with contextlib.suppress(rbd.Error):
                    rbd.RBD().remove(io, volume)
        for entry in rbd.RBD().trash_list(io):
            if entry["name"].startswith(name):
                with contextlib.suppress(rbd.Error):
                    rbd.RBD().trash_remove(io, entry["id"], True)
