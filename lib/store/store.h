// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vmferry/image_facts.h"
#include "vmferry/location.h"
#include "vmferry/network.h"
#include "vmferry/sparsify.h"
#include "vmferry/stream.h"
#include "vmferry/target.h"

namespace vmferry {

/// Bytes of a store, open for reading.
struct OpenBytes {
  std::unique_ptr<Source> source;
  Identity identity;
  bool being_written = false;  ///< another process has it open for writing
};

/// What the Source of a store may implement besides: it tells what its store knows of the image.
class DescribedBytes {
 public:
  virtual ~DescribedBytes() = default;
  /// Adds to `facts`. Asks the store. Throws Error. Any thread.
  virtual void describe(ImageFacts& facts) const = 0;
};

/// The same, where they can be read once, in order.
struct OpenStream {
  std::unique_ptr<ByteStream> stream;
  std::optional<Identity> identity = {};  ///< nothing: it is no file or device
  bool being_written = false;
};

/// A kind of place where images are: all that is asked of it. A null entry: it cannot do that.
/// Every function is given locations of this store only, and may be called from any thread.
struct Store {
  /// What `text` names in this store; nothing: it is not of this store. Throws kUsage: it is, but
  /// malformed.
  std::optional<Location> (*parse)(std::string_view text) = nullptr;
  /// The path on this host; empty: that is none.
  const std::string& (*path)(const Location& location) = nullptr;

  /// Never null.
  OpenBytes (*open)(const Location& location, const NetworkOptions& network) = nullptr;
  /// In place of open(), for what can be read once, in order. Then open() says what that is.
  OpenStream (*open_stream)(const Location& location) = nullptr;
  /// To read it a second time costs too much, or nobody could tell whether the same comes: who has
  /// to keeps what came the first time.
  bool is_read_once = false;
  /// Throws kUsage where an option means nothing to this store. Opens nothing.
  void (*check_target)(const Location& location, const TargetOptions& options) = nullptr;
  std::unique_ptr<Target> (*create)(const Location& location,
                                    const TargetOptions& options) = nullptr;
  /// create() can make a regular file.
  bool makes_files = false;
  /// create() can make a clone of a snapshot (TargetOptions::base).
  bool makes_clones = false;
  /// unfinished_notes(): of what grows under the temporary name.
  std::map<std::string, std::string> (*unfinished_notes)(const Location& location,
                                                         const NetworkOptions& network) = nullptr;
  /// The digest (DiskDigest::text()) that keep_digest() has kept of what never changes, a snapshot;
  /// empty: none. Throws Error.
  std::string (*kept_digest)(const Location& location, const NetworkOptions& network) = nullptr;
  /// Keeps it beside the snapshot, where this user may do that.
  void (*keep_digest)(const Location& location, const NetworkOptions& network,
                      const std::string& digest) = nullptr;
  /// remove_unfinished().
  void (*remove_unfinished)(const Location& location, const NetworkOptions& network,
                            std::stop_token stop) = nullptr;

  /// sparsify_in_place(), and whether it can do a dry run.
  SpaceUse (*sparsify)(const Location& location, const InPlaceOptions& options,
                       Progress& progress) = nullptr;
  bool sparsify_can_rehearse = false;
  /// Throws kConflict if another process has it open for writing, as far as can be told.
  void (*refuse_writers)(const Location& location) = nullptr;
  /// The same for what will be changed in place by another program.
  void (*refuse_users)(const Location& location, bool assume_unused) = nullptr;
  /// Bytes that it takes of its store; nothing: the store cannot tell.
  std::optional<uint64_t> (*allocated)(const Location& location,
                                       const NetworkOptions& network) = nullptr;

  /// What is written to it goes to standard output, where nothing else may go then.
  bool is_standard_output = false;

  /// The name by which QEMU opens it.
  std::string (*qemu_name)(const Location& location, const NetworkOptions& network) = nullptr;
};

}  // namespace vmferry
