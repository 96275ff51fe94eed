// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "lib/core/unique_fd.h"
#include "lib/store/file/file_stamp.h"
#include "lib/store/store.h"
#include "vmferry/map.h"
#include "vmferry/source.h"

namespace vmferry {

/// A regular file or block device that is open for reading. Holes come from SEEK_DATA and SEEK_HOLE
/// (lseek(2)); a store that does not know them is all data. Any thread.
class FileSource : public Source, public Layout, public DescribedBytes {
 public:
  /// Shows the first `at_most` bytes only.
  FileSource(UniqueFd fd, std::string name, uint64_t at_most = UINT64_MAX);

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  Extent extent_at(uint64_t offset, uint64_t max) const override;
  void read_at(uint64_t offset, std::span<std::byte> out) const override;
  void check_unchanged() const override;
  void check_still_there() const override;
  std::string stamp() const override { return text_of(stamp_); }
  void prefetch(uint64_t offset, uint64_t length) const override;
  void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const override;
  std::optional<uint64_t> allocated_bytes() const override;
  void describe(ImageFacts& facts) const override { facts.allocated_bytes = allocated_bytes(); }

  int fd() const { return fd_.get(); }
  /// check_unchanged() for who writes to it: it has its name and its size still.
  void check_in_place() const;

 private:
  uint64_t known_data_at(uint64_t offset) const;
  bool is_cached(uint64_t offset) const;
  void announce(const Extent& data) const;

  const UniqueFd fd_;
  const std::string name_;
  FileStamp stamp_;
  uint64_t size_ = 0;
  bool knows_holes_ = false;
  mutable std::mutex mutex_;                         // of the next line; held for a comparison only
  mutable Extent data_ = {0, 0, ExtentKind::kData};  // the run of data that was found last
};

/// Opens a file or block device to read; throws for everything else (and does not hang on a pipe).
OpenBytes open_file_source(const std::string& path);

}  // namespace vmferry
