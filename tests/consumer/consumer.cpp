// SPDX-License-Identifier: LGPL-2.1-or-later
// Copies a disk with the installed library: consumer SOURCE TARGET.
#include <cstdio>

#include "vmferry/copy.h"
#include "vmferry/error.h"
#include "vmferry/open.h"
#include "vmferry/target.h"
#include "vmferry/version.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  try {
    const vmferry::OpenImage image = vmferry::open_image(vmferry::parse_location(argv[1]), {});
    const auto target =
        vmferry::open_target(vmferry::parse_location(argv[2]), {.size = image.guest->size(),
                                                                .layout = {},
                                                                .ceph = {},
                                                                .before_making = {},
                                                                .made = {},
                                                                .notice = {},
                                                                .stop = {},
                                                                .sources = {}});
    vmferry::Progress progress;
    const vmferry::CopyResult result = vmferry::copy(*image.guest, target->sink(), {}, progress);
    target->publish();
    std::printf("%s: %llu bytes of data\n", vmferry::kVersion,
                static_cast<unsigned long long>(result.written_bytes));
  } catch (const vmferry::Error& error) {
    std::fprintf(stderr, "%s\nhint: %s\n", error.what(), error.hint().c_str());
    return 1;
  }
  return 0;
}
