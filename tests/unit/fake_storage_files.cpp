// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_storage.h"

// The files of the model's host.

namespace vmferry::test {

bool FakeStorage::file_exists(const std::string& path) {
  return world_->call("file_exists", [&] { return world_->images.contains(path); });
}

uint64_t FakeStorage::free_space(const std::string&) {
  return world_->call("free_space", [&] { return world_->room; });
}

std::string FakeStorage::file_system(const std::string&) {
  return world_->call("file_system", [] { return std::string("/"); });
}

void FakeStorage::create_overlay(const std::string& path, uint64_t size, const std::string& backing,
                                 const std::string& backing_format) {
  world_->call("create_overlay", [&] {
    const auto below = world_->images.find(backing);  // not of a volume, which QEMU names otherwise
    if (below != world_->images.end() && below->second.format != backing_format) {
      world_->wrong(path + " calls the format of " + backing + " " + backing_format);
    }
    create(path, {.format = "qcow2", .size = size, .backing = backing});
  });
}

void FakeStorage::create_empty_file(const std::string& path, uint64_t size,
                                    const ImageLayout& layout, const Made& made) {
  world_->call("create_empty_file",
               [&] { create(path, {.format = layout.format.name(), .size = size}, made); });
}

}  // namespace vmferry::test
