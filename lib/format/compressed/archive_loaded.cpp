// SPDX-License-Identifier: LGPL-2.1-or-later
// In place of the file that uses libarchive: asks the module for what it does.
#include "lib/format/compressed/archive_module.h"

namespace vmferry {
namespace {

const ArchiveModule& archive_module() {
  static const ArchiveModule& table =
      module_table<ArchiveModule>("vmferry-archive", "libarchive13");
  return table;
}

}  // namespace

std::string libarchive_version() {
  return module_version(archive_module, &ArchiveModule::version_of_library);
}

std::unique_ptr<ByteStream> unpack_zstd(std::unique_ptr<ByteStream> packed) {
  return archive_module().zstd(std::move(packed));
}

std::unique_ptr<ByteStream> unpack_bzip2(std::unique_ptr<ByteStream> packed) {
  return archive_module().bzip2(std::move(packed));
}

}  // namespace vmferry
