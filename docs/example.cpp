// SPDX-License-Identifier: LGPL-2.1-or-later
// A program with the library: example SOURCE TARGET copies a disk image to rbd:POOL/IMAGE or a
// file, compares the two, and only then gives the copy its name.
#include <cstdio>

#include "vmferry/error.h"
#include "vmferry/open.h"
#include "vmferry/target.h"
#include "vmferry/transfer.h"

int main(int argc, char** argv) try {
  if (argc != 3) {
    return 2;
  }
  const vmferry::OpenImage image = vmferry::open_image(vmferry::parse_location(argv[1]), {});
  vmferry::refuse_being_written(image);
  vmferry::TargetOptions options;
  options.size = image.guest->size();
  options.sources = image.opened;
  const auto target = vmferry::open_target(vmferry::parse_location(argv[2]), options);
  const auto copied = vmferry::transfer(*image.guest, *target, {.verify = vmferry::Verify::kYes});
  std::printf("%llu bytes of data\n", static_cast<unsigned long long>(copied.written_bytes));
  return 0;
} catch (const vmferry::Error& error) {
  std::fprintf(stderr, "%s\nhint: %s\n", error.what(), error.hint().c_str());
  return 1;
}
