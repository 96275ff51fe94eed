// SPDX-License-Identifier: LGPL-2.1-or-later
// Headers with their extensions, and the two lists that they lead to.
#include <cstdlib>

#include "lib/format/qcow2/qcow2.h"
#include "lib/image/json_name.h"
#include "tests/fuzz/bytes_source.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

void read_lists(const Source& file, const Qcow2Header& header) {
  try {
    if (read_qcow2_snapshots(file, header).size() != header.snapshot_count) {
      std::abort();
    }
  } catch (const Error&) {
  }
  try {
    read_qcow2_bitmaps(file, header);
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::BytesSource file(data, size);
  try {
    const Qcow2Header header = read_qcow2_header(file);
    if (header.l1_entries < header.l1_entries_needed()) {
      std::abort();
    }
    if (header.l1_entries > 0 && header.l1_offset + header.l1_entries * 8 > size) {
      std::abort();
    }
    parse_json_name(header.backing_name);
    read_lists(file, header);
  } catch (const Error&) {
  }
  return 0;
}
