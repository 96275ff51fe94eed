// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>

#include "lib/core/format_bytes.h"
#include "lib/migrate/check_list.h"
#include "lib/migrate/facts.h"

// What holds of a move back to files, before the first byte moves. No I/O here.

namespace vmferry::migrate {
namespace {

class FileChecker {
 public:
  FileChecker(const MigrateRequest& request, const Facts& facts, CopyMethod method,
              CheckList& checks)
      : request_(request), facts_(facts), method_(method), checks_(checks) {}

  void run() {
    if (request_.to_other_host()) {
      return checks_.fail("to files", "--to-dir and --to do not go together",
                          "move to the other host first");
    }
    for (const DiskFacts& disk : facts_.disks) {
      if (disk.problem.ok() && disk.file_taken) {
        checks_.fail("file " + disk.move.image.path, "exists already",
                     "move it away, or name another directory");
      }
    }
    room();
    if (method_ == CopyMethod::kMirrored) {
      mirror();
    }
  }

 private:
  void room() {
    if (!facts_.file_room) {
      return;  // another check tells why
    }
    const std::string name = "room for the files";
    const uint64_t wanted = bytes_of_files(facts_, method_);
    const std::string free = about_bytes(*facts_.file_room);
    if (*facts_.file_room >= wanted) {
      checks_.pass(name, fmt::format("{} to write, {} free", about_bytes(wanted), free));
    } else if (request_.file_layout.compression) {
      checks_.warn(name,
                   fmt::format("{} to compress, and {} free in {}: how small it becomes is not "
                               "known before",
                               about_bytes(wanted), free, request_.to_dir),
                   "if the room is not enough, the move is undone");
    } else {
      checks_.fail(name,
                   fmt::format("{} to write, but only {} free in {}", about_bytes(wanted), free,
                               request_.to_dir),
                   "make room, or name another directory");
    }
  }

  void mirror() {
    if (request_.file_layout.compression) {
      checks_.fail("compression", "QEMU's mirror does not compress what it copies",
                   "leave --method out, or --compress");
    }
    checks_.warn("thin files",
                 "QEMU's mirror also writes the volume's zeros where the definition does not say "
                 "discard='unmap'",
                 "leave --method out: a staged move makes sparse files, and compares them");
  }

  const MigrateRequest& request_;
  const Facts& facts_;
  const CopyMethod method_;
  CheckList& checks_;
};

}  // namespace

void check_files(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                 CheckList& checks) {
  FileChecker(request, facts, method, checks).run();
}

uint64_t bytes_of_files(const Facts& facts, CopyMethod method) {
  // A mirror may write all of a disk.
  const bool whole = method == CopyMethod::kMirrored;
  uint64_t sum = 0;
  for (const DiskFacts& disk : facts.disks) {
    sum += whole ? disk.move.size : std::min(disk.move.data, disk.move.size);
  }
  return sum;
}

}  // namespace vmferry::migrate
