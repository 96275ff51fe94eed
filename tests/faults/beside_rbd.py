# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who comes while a run on volumes is held."""

import beside
import images
import jobs_rbd


class VolumeTaken(beside.Visitor):
    """Somebody makes a volume of the target's name."""

    def come(self):
        self.made = jobs_rbd.take_name(self.scene)

    def leave(self, result, done):
        wrong = self._left(result.said)
        if self.made and not self.scene.holds(images.OLD.content):
            wrong.append("somebody's volume of that name is gone")
        if done and not self.scene.holds(self.scene.image.content):
            wrong.append(f"says done, the name holds {self.scene.state()}")
        return wrong


class Snapshot(beside.Visitor):
    """Somebody takes a snapshot of what is to be replaced."""

    def come(self):
        self.made = jobs_rbd.take_snapshot(self.scene)

    def leave(self, result, done):
        wrong = self._left(result.said)
        if self.made and not jobs_rbd.has_snapshot(self.scene):
            wrong.append("the snapshot that was taken meanwhile is gone")
        if done and not self.scene.holds(self.scene.image.content):
            wrong.append(f"says done, the name holds {self.scene.state()}")
        return wrong


def changer(act, after):
    """A source that `act` changes; `after(content)` is what a run may find that came later."""

    class Changer(beside.SourceChanger):
        def change(self, path):
            act(self.scene)
            return after(self.scene.image.content)

        def _left(self, *said):
            return [words for words in super()._left(*said) if self.scene.volume not in words]

    return Changer


beside.VISITORS.update({
    "volume-taken": VolumeTaken,
    "snapshot": Snapshot,
    "volume-overwritten": changer(jobs_rbd.overwrite,
                                  lambda content: images.with_marks(content, images.EARLY, images.LATE)),
    "volume-shrunk": changer(jobs_rbd.shrink, lambda content: content[:len(content) // 2]),
    "volume-removed": changer(jobs_rbd.remove, lambda content: None),
    "snapshot-removed": changer(jobs_rbd.remove_snapshot, lambda content: None),
})
