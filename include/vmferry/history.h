// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// A state of a disk that was kept: an internal snapshot of an image, a snapshot of a volume, a
/// layer of a backing chain.
struct Point {
  std::string name;   ///< raw bytes, any; several may have the same
  std::string id;     ///< as its store counts; empty: it does not
  uint64_t size = 0;  ///< of the disk then, in bytes
  /// When it was taken: seconds since 1970, UTC. Nothing: its store does not say.
  std::optional<int64_t> seconds = {};
  uint64_t vm_state_bytes = 0;  ///< memory of the machine, kept beside the disk; 0: none
  /// What it was called in the image that its volume is a copy of; empty: not known.
  std::string first_name = {};

  bool operator==(const Point&) const = default;
};

/// Where two states of a disk may differ. Any thread.
class Changes {
 public:
  virtual ~Changes() = default;
  struct Run {
    uint64_t length = 0;  ///< bytes; need not be the longest possible
    bool may_differ = true;
  };
  /// The run that begins at `offset`, 1..max bytes long. Beyond the end of one of the two all
  /// differs. Throws Error. REQUIRES: max > 0; offset + max <= the size of the later state.
  virtual Run run_at(uint64_t offset, uint64_t max) const = 0;
};

/// What a Source may implement besides: the states of its disk that were kept. Every method asks
/// the store and throws Error. Any thread.
class History {
 public:
  virtual ~History() = default;
  /// Oldest first. The disk as it is now is not among them. All calls answer the same.
  virtual std::vector<Point> points() const = 0;
  /// The disk as it was at points()[index], of the size that it had. Lives without this.
  virtual std::unique_ptr<Source> open_point(size_t index) const = 0;
  /// From points()[before] to points()[after]; `after` may be points().size(): the disk as it is
  /// now. Lives without this. REQUIRES: before < after.
  virtual std::unique_ptr<Changes> changes(size_t before, size_t after) const = 0;
  /// Snapshots that are none of the user's, and no points, in words: "NAME (of a group)".
  virtual std::vector<std::string> left_out() const { return {}; }
  /// What was opened, if that is itself a state that was kept: what is called the disk as it is now
  /// is that one then, and points() are those before it.
  virtual std::optional<Point> here() const { return std::nullopt; }
};

/// What a Source may implement besides, if it is a layer over another one, which shows through
/// where it says nothing. Any thread.
class Overlay {
 public:
  virtual ~Overlay() = default;
  /// Null: there is nothing below it.
  virtual std::shared_ptr<const Source> below() const = 0;
  /// Where the layer itself says something: there its bytes may differ from those below.
  virtual Changes::Run own_run_at(uint64_t offset, uint64_t max) const = 0;
};

/// `top`, with each layer below it as a state of its disk, the lowest one first: a History. Of a
/// disk without layers below it that has no points. A state is called as its layer is in `names`,
/// by Source::name(), or else as its file without the last suffix. Opens nothing.
std::unique_ptr<Source> layers_as_history(std::shared_ptr<const Source> top,
                                          std::map<std::string, std::string> names = {});

}  // namespace VMFERRY_API vmferry
