// SPDX-License-Identifier: LGPL-2.1-or-later
// What is checked of images that QEMU reads, and archives with such images: the first byte says
// which.
#include <array>

#include "lib/format/foreign/ova.h"
#include "lib/format/foreign/prepare.h"
#include "tests/fuzz/bytes_source.h"
#include "tests/unit/open_gate.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

/// Each file that an image names is the image itself.
class SameGate : public test::OpenGate {
 public:
  SameGate(const uint8_t* data, size_t size) : data_(data), size_(size) { wanted = 1; }
  std::shared_ptr<const Source> open_extent(const std::string& /*name*/, bool /*own*/) override {
    return std::make_shared<fuzz::BytesSource>(data_, size_);
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr std::array kPrepare = {prepare_vmdk, prepare_vhdx, prepare_vhd,
                                   prepare_vdi,  prepare_qed,  prepare_parallels};
  if (size == 0) {
    return 0;
  }
  SameGate gate(data + 1, size - 1);
  auto file = std::make_unique<fuzz::BytesSource>(data + 1, size - 1);
  try {
    if (data[0] < kPrepare.size()) {
      kPrepare[data[0]](std::move(file), gate);
    } else {
      open_ova(std::move(file), gate);
    }
  } catch (const Error&) {
  }
  return 0;
}
