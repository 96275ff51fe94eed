// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/error.h"
#include "vmferry/history.h"
#include "vmferry/location.h"
#include "vmferry/network.h"
#include "vmferry/sink.h"

namespace VMFERRY_API vmferry {

/// May a new file share the blocks of the file it is copied from (ioctl_ficlonerange(2); XFS,
/// btrfs)? kAlways: fail where it cannot.
enum class Reflink { kAuto, kAlways, kNever };

struct TargetOptions {
  uint64_t size = 0;    ///< bytes, exactly
  bool grows = false;   ///< the size is told later, by Sink::grow() and set_size(); `size` is 0
  size_t marks = 0;     ///< so many states of it will be kept (Target::mark())
  bool verify = false;  ///< it will be read back, which some targets cannot be
  /// Nothing but a regular file will do: its bytes are an image of another format than raw.
  bool regular_file = false;
  bool resume = false;  ///< take what an earlier run has left and go on with it, if there is any
  bool force = false;   ///< replace what exists; needed for every block device
  /// Nobody uses what is overwritten or replaced, where that cannot be asked.
  bool assume_unused = false;
  Reflink reflink = Reflink::kAuto;
  RbdLayout layout;
  /// It is a clone of this snapshot, which shows through wherever nothing is written
  /// (Target::base()). Of the same store; reached with `network`. Nothing: it begins as zeros.
  std::optional<Location> base = {};
  NetworkOptions network;
  /// Called once everything was checked, just before the first change to the store. May be empty.
  std::function<void()> before_making;
  /// Called with what was made, before it has its final name. May be empty.
  std::function<void(const Identity&)> made;
  /// Called with one line about what is waited for, or could not be removed; by another thread, and
  /// also from the sink's destructor. Must not throw. May be empty.
  std::function<void(const std::string&)> notice;
  /// When triggered, a cluster that does not answer is waited for only a few seconds more, and who
  /// does not read standard output not at all (kCancelled).
  std::stop_token stop;
  std::vector<Identity> sources;  ///< refuse these: the target must not be what is being read
};

/// What a run writes down about a target that is not complete, for a later one to go on with it.
/// Kept where the target is, and gone when it is removed or has its name. One thread.
class TargetNotes {
 public:
  virtual ~TargetNotes() = default;
  /// All notes. Throws Error.
  virtual std::map<std::string, std::string> read() = 0;
  /// Durable when this returns. A key has letters, digits and dots; a text is one line of 16 KiB at
  /// most. Throws Error.
  virtual void write(const std::string& key, const std::string& text) = 0;
};

/// A disk that is read wherever nothing was written to a target.
struct TargetBase {
  const Source* disk = nullptr;  ///< of the target's size; lives as long as the target
  /// Bytes, a power of two: the first write to a part of such a block has it copied as a whole.
  uint32_t block = 0;
};

/// A disk that is being made, with its name. Destroyed before publish() it takes away what it made,
/// and never throws; what had the name before is untouched then (a block device has no other name:
/// it keeps what was written). One thread.
class Target {
 public:
  virtual ~Target() = default;
  /// Where its bytes go, as long as the target lives.
  virtual Sink& sink() = 0;
  /// Gives it its name. After a successful flush of the sink; once. Throws if the name was taken
  /// meanwhile.
  virtual void publish() = 0;

  /// Can what it holds be kept as a state of the disk (mark())?
  virtual bool can_mark() const { return false; }
  /// What it holds now stays readable as a state of the disk, whatever is written later, and gets
  /// the name with it. After a successful flush of the sink. What is written later is a change of
  /// this state: zeros need not be zero any more (SinkTraits::starts_zeroed), and Sink::set_size()
  /// may be called again. Answers with the name that it has there: not every store can carry every
  /// name, or one twice. Throws Error. REQUIRES: can_mark().
  virtual std::string mark(const Point& /*point*/) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = sink().name(),
                 .action = "keep a state of the disk",
                 .cause = "such a target cannot do that"});
  }
  /// The names of the states that were marked so far, in order, also by the run whose target was
  /// adopted: the first of `states`. Asks the store. Throws Error; kConflict: it keeps others.
  virtual std::vector<std::string> marks(const std::vector<Point>& /*states*/) { return {}; }

  /// Nothing: what was not written is zero, or unknown (SinkTraits::starts_zeroed).
  virtual std::optional<TargetBase> base() const { return std::nullopt; }

  /// Null: nobody can go on with this target. Lives as long as the target.
  virtual TargetNotes* notes() { return nullptr; }
  /// It is what an earlier run has left (TargetOptions::resume), with what that wrote.
  virtual bool adopted() const { return false; }
  /// What was made stays when this is destroyed without a name. Answers with the command that
  /// removes it; empty: it has its name, or is another run's by now. REQUIRES: notes().
  virtual std::string keep() { return {}; }
};

/// Throws kUsage where an option means nothing to the store of `location`; nothing is asked or
/// opened. open_target() does the same: this is for who has much to do before that.
void check_target_options(const Location& location, const TargetOptions& options);

/// Opens a target: a new sparse file, a new RBD volume (both under a temporary name until publish),
/// or an existing block device. Everything that can be refused is refused here, before the first
/// byte.
std::unique_ptr<Target> open_target(const Location& location, const TargetOptions& options);

/// The notes (TargetNotes) of a run that did not complete this target; empty: there are none. Only
/// looks: such a run may be at work. Throws Error. Any thread.
std::map<std::string, std::string> unfinished_notes(const Location& location,
                                                    const NetworkOptions& network);

/// Removes what a run that died before publish() left of this target, with its notes; none is no
/// error, and what has the name is not touched. kConflict: such a run is at work. A cluster may
/// need a minute to see that one has died: that is waited for; `stop` ends it (kCancelled). Throws
/// Error.
void remove_unfinished(const Location& location, const NetworkOptions& network,
                       std::stop_token stop = {});

}  // namespace VMFERRY_API vmferry
