// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <any>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "lib/format/format.h"
#include "tests/unit/memory_sources.h"

namespace vmferry::test {

/// Lets everything be opened: files in memory, by name.
class OpenGate : public FormatGate {
 public:
  std::shared_ptr<const Source> open_backing(const std::string& /*name*/,
                                             const std::optional<std::string>& /*f*/) override {
    throw std::logic_error("not asked for by these formats");
  }
  std::shared_ptr<const Source> open_data_file(const std::string& /*name*/) override {
    throw std::logic_error("not asked for by these formats");
  }
  std::unique_ptr<QemuImage> open_parent(const std::string& name,
                                         const std::optional<std::string>& format) override {
    parents.push_back(name + " " + format.value_or("?"));
    return std::make_unique<QemuImage>();
  }
  std::shared_ptr<const Source> open_extent(const std::string& name, bool no_guest) override {
    extents.push_back(name + (no_guest ? "" : " guest"));
    return std::make_shared<MemorySource>(files.at(name));
  }
  std::unique_ptr<Source> open_inside(std::unique_ptr<Source> image) override { return image; }
  std::optional<Secret> passphrase() override { return std::nullopt; }
  const SnapshotChoice& snapshot() const override { return snapshot_; }
  std::optional<unsigned> disk() const override { return wanted; }
  bool force_corrupt() const override { return false; }
  std::any& shared() override { return shared_; }
  void warn(const std::string& /*text*/) override {}
  std::map<std::string, std::vector<std::byte>> files;
  std::vector<std::string> extents;
  std::vector<std::string> parents;
  std::optional<unsigned> wanted;

 private:
  SnapshotChoice snapshot_;
  std::any shared_;
};

}  // namespace vmferry::test
