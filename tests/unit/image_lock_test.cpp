// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/image_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "lib/core/unique_fd.h"
#include "tests/unit/catch.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

struct TemporaryFile {
  TemporaryFile() {
    char name[] = "/tmp/vmferry-lock-test.XXXXXX";
    const UniqueFd fd(::mkstemp(name));
    REQUIRE(fd.valid());
    REQUIRE(::ftruncate(fd.get(), 1 << 20) == 0);
    path = name;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

bool qemu_may(const std::string& how, const std::string& path) {
  return ::system(fmt::format("qemu-io -f raw {} {} >/dev/null 2>&1", how, path).c_str()) == 0;
}

TEST_CASE("image lock: QEMU may read meanwhile, and not write") {
  const TemporaryFile file;
  REQUIRE(qemu_may("-c 'write 0 4k'", file.path));
  {
    const UniqueFd fd(::open(file.path.c_str(), O_RDWR | O_CLOEXEC));
    lock_image(fd.get(), file.path, false);
    CHECK_FALSE(qemu_may("-c 'write 0 4k'", file.path));
    CHECK(qemu_may("-r -c 'read 0 4k'", file.path));
  }
  CHECK(qemu_may("-c 'write 0 4k'", file.path));
}

TEST_CASE("image lock: two of them exclude nobody but writers") {
  const TemporaryFile file;
  const UniqueFd one(::open(file.path.c_str(), O_RDWR | O_CLOEXEC));
  const UniqueFd two(::open(file.path.c_str(), O_RDWR | O_CLOEXEC));
  lock_image(one.get(), file.path, false);
  CHECK_NOTHROW(lock_image(two.get(), file.path, false));
}

TEST_CASE("image lock: whoever has it open for writing is seen, readers are not") {
  const TemporaryFile file;
  {
    const UniqueFd reader(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
    CHECK_NOTHROW(refuse_open_for_writing(file.path, false));
  }
  const UniqueFd writer(::open(file.path.c_str(), O_RDWR | O_CLOEXEC));
  CHECK_THROWS_AS(refuse_open_for_writing(file.path, false), Error);
}

TEST_CASE("image lock: alone, no QEMU reads or writes") {
  const TemporaryFile file;
  {
    const UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
    lock_image_alone(fd.get(), file.path, false);
    CHECK_FALSE(qemu_may("-c 'write 0 4k'", file.path));
    CHECK_FALSE(qemu_may("-r -c 'read 0 4k'", file.path));
    CHECK_NOTHROW(refuse_used_by_qemu(fd.get(), file.path, false));  // our own lock is no other's
    const UniqueFd other(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
    CHECK_THROWS_AS(lock_image_alone(other.get(), file.path, false), Error);
    CHECK_THROWS_AS(lock_image(other.get(), file.path, false), Error);
  }
  CHECK(qemu_may("-c 'write 0 4k'", file.path));
}

TEST_CASE("image lock: what cannot be asked is refused, unless the caller answers for it") {
  // A descriptor that is a path only takes no locks.
  const UniqueFd path_only(::open("/tmp", O_PATH | O_CLOEXEC));
  CHECK_THROWS_WITH(lock_image(path_only.get(), "x", false), Contains("has no locks"));
  CHECK_THROWS_WITH(lock_image_alone(path_only.get(), "x", false), Contains("has no locks"));
  CHECK_NOTHROW(lock_image(path_only.get(), "x", true));
  CHECK_NOTHROW(lock_image_alone(path_only.get(), "x", true));
}

}  // namespace
}  // namespace vmferry
