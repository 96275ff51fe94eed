// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>

#include "lib/format/qcow2/qcow2_empty.h"
#include "lib/format/qcow2/qcow2_header.h"
#include "lib/store/file/new_file.h"
#include "tests/unit/catch.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

constexpr uint64_t kTiB = uint64_t{1} << 40;
constexpr const char* kVolume = "rbd:vms/web1-vda:conf=/etc/ceph/ceph.conf:id=libvirt";

Qcow2Header parsed(const EmptyQcow2& image) {
  return parse_qcow2_header(std::span(image.start).first(65536), "empty", image.file_size);
}

int shell(const std::string& command) { return WEXITSTATUS(std::system(command.c_str())); }

std::string said(const std::string& command, const TempDir& dir) {
  const std::string out = (dir / "out").string();
  REQUIRE(shell(command + " >" + out) == 0);
  return read_text(out);
}

}  // namespace

TEST_CASE("an empty qcow2 image says what it was told, and nothing else") {
  const Qcow2Header header = parsed(make_empty_qcow2(4297064448, kVolume, "raw", "empty"));
  CHECK(header.version == 3);
  CHECK(header.virtual_size == 4297064448);
  CHECK(header.backing_name == kVolume);
  CHECK(header.backing_format == "raw");
  CHECK(header.l1_entries == 9);
  CHECK(header.incompatible_features == 0);
  CHECK(header.snapshot_count == 0);
  const std::string longest(1023, 'x');
  CHECK(parsed(make_empty_qcow2(512, longest, "raw", "empty")).backing_name == longest);
}

TEST_CASE("an empty qcow2 image is refused where it would not be what was asked for") {
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{1000000}, (kTiB << 11) + 512}) {
    CAPTURE(size);
    CHECK_THROWS_AS(make_empty_qcow2(size, "base", "raw", "empty"), Error);
  }
  CHECK_THROWS_AS(make_empty_qcow2(512, "", "raw", "empty"), Error);
  CHECK_THROWS_AS(make_empty_qcow2(512, std::string(1024, 'x'), "raw", "empty"), Error);
  CHECK_THROWS_AS(make_empty_qcow2(512, "base", "", "empty"), Error);
}

TEST_CASE("QEMU finds no fault with empty qcow2 images of any size") {
  TempDir dir;
  const std::string base = (dir / "base").string();
  const std::string top = (dir / "top").string();
  write_text(base, std::string(70000, 'x'));
  for (const uint64_t size : {uint64_t{512}, uint64_t{4297064448}, 9 * kTiB, kTiB << 11}) {
    CAPTURE(size);
    const EmptyQcow2 image = make_empty_qcow2(size, base, "raw", top);
    create_file(top, image.file_size, image.start);
    CHECK(shell("qemu-img check -q " + top) == 0);
    const std::string info = said("qemu-img info --output=json " + top, dir);
    CHECK(info.find(fmt::format("\"virtual-size\": {},", size)) != std::string::npos);
    CHECK(info.find("\"backing-filename-format\": \"raw\"") != std::string::npos);
    std::filesystem::remove(top);
  }
}

TEST_CASE("QEMU reads the backing image through an empty qcow2 image, and writes to it") {
  TempDir dir;
  const std::string base = (dir / "base").string();
  const std::string top = (dir / "top").string();
  write_text(base, std::string(1 << 20, 'x'));
  const EmptyQcow2 image = make_empty_qcow2(1 << 20, base, "raw", top);
  create_file(top, image.file_size, image.start);
  CHECK(shell("qemu-img compare -q -f raw -F qcow2 " + base + " " + top) == 0);
  CHECK(shell("qemu-io -f qcow2 -c 'write -P 7 300k 5k' -c 'read -P 120 290k 10k' -c 'read -P 7 "
              "300k 5k' " +
              top + " >/dev/null") == 0);
  CHECK(shell("qemu-img check -q " + top) == 0);
  CHECK(shell("qemu-img compare -q -f raw -F qcow2 " + base + " " + top) == 1);
}

TEST_CASE("a new file is private, sparse, and never takes another's name") {
  TempDir dir;
  const std::string path = (dir / "file").string();
  const std::byte start[] = {std::byte{'a'}, std::byte{'b'}};
  create_file(path, 1 << 30, start);
  struct stat status;
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(status.st_size == 1 << 30);
  CHECK(status.st_blocks * 512 < 1 << 20);
  CHECK_THROWS_WITH(create_file(path, 1, {}), Contains("the file exists"));
  CHECK(std::filesystem::file_size(path) == 1 << 30);
  // What cannot be made whole is not left behind.
  const std::string huge = (dir / "huge").string();
  CHECK_THROWS_AS(create_file(huge, uint64_t{1} << 63, {}), Error);
  CHECK(!std::filesystem::exists(huge));
}

}  // namespace vmferry::test
