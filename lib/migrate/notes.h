// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/migrate.h"

namespace vmferry::migrate {

/// What a journal notes while a run goes on. Whatever is noted before something happens may have
/// happened; what is noted after it has.
class Notes {
 public:
  static constexpr const char* kRetired = "retired";         ///< before an old disk goes
  static constexpr const char* kLeft = "left";               ///< before the old definition changes
  static constexpr const char* kStarted = "started";         ///< before the new one is started
  static constexpr const char* kStartedOld = "started-old";  ///< before the old one is
  static constexpr const char* kAskedOff = "asked-off";      ///< a shutdown may be on its way
  static constexpr const char* kRecord = "record";           ///< a text: where the record goes
  static constexpr const char* kSent = "sent";               ///< a text: see definition_to_send
  static constexpr const char* kSaved = "saved";  ///< before a snapshot's definition is kept
  /// A text: all snapshots that libvirt knew of, once they are saved.
  static constexpr const char* kForgotten = "forgotten";
  static constexpr const char* kFrozen = "frozen";             ///< the overlays are ours
  static constexpr const char* kOverlaid = "overlaid";         ///< the guest runs on them
  static constexpr const char* kNoAutostart = "no-autostart";  ///< switched off by us
  static constexpr const char* kWoken = "woken";               ///< started by us, paused

  static std::string bridged(const MovingDisk& disk) { return "bridged:" + disk.dev; }
  /// What is under the new name is ours: noted before it is made, as a kill may follow at once.
  static std::string made(const MovingDisk& disk) { return "made:" + disk.dev; }
  /// Back on the old disk by our undo, or just about to be.
  static std::string returning(const MovingDisk& disk) { return "returning:" + disk.dev; }
  static std::string switched(const MovingDisk& disk) { return "switched:" + disk.dev; }
  static std::string committed(const MovingDisk& disk) { return "committed:" + disk.dev; }
  /// A text: which volume or file was made.
  static std::string identity(const MovingDisk& disk) { return "identity:" + disk.dev; }
  /// Sync: before the state of the warm move has what the run did.
  static constexpr const char* kKept = "kept";
  /// A text: when the disks were frozen, for the last time; as seconds since 1970 with a fraction.
  static constexpr const char* kFrozenAt = "frozen-at";
  /// A text: likewise, for the first time. Only where they were frozen again since.
  static constexpr const char* kFirstFrozenAt = "first-frozen-at";
  /// The old volume has its snapshot of this sync, or gets it in this moment.
  static std::string marked_old(const MovingDisk& disk) { return "marked-old:" + disk.dev; }
  static constexpr const char* kMarkedOld = "marked-old";  ///< all of them have
  /// The volume has its snapshot of this sync.
  static std::string marked(const MovingDisk& disk) { return "marked:" + disk.dev; }
  /// What was between the overlay and the first image is committed into that.
  static std::string sunk(const MovingDisk& disk) { return "sunk:" + disk.dev; }
  /// A text: how many bytes a sync had to look after.
  static std::string changed(const MovingDisk& disk) { return "changed:" + disk.dev; }
  /// Before what was copied is changed by committing an overlay: a copy that died says nothing.
  static constexpr const char* kChanged = "changed-meanwhile";
  static std::string copied(const MovingDisk& disk) { return "copied:" + disk.dev; }
};

}  // namespace vmferry::migrate
