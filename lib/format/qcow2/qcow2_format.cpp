// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_format.h"

#include <utility>

#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_table_cache.h"
#include "lib/format/qcow2/qcow2_unlock.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

Qcow2Snapshot choose_snapshot(const Source& file, const Qcow2Header& header,
                              const SnapshotChoice& wanted) {
  if (header.has_data_file()) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = file.name(),
                 .action = "look for the snapshot",
                 .cause = "an image with an external data file cannot have snapshots"});
  }
  return find_qcow2_snapshot(file, header, wanted.name, wanted.id);
}

void warn_of_state(const Qcow2Header& header, const std::string& name, FormatGate& gate) {
  if (header.is_dirty()) {
    gate.warn(name +
              ": it was not closed cleanly (dirty bit); what a guest wrote last may be missing");
  }
  if (header.is_marked_corrupt() && gate.force_corrupt()) {
    gate.warn(name + ": it is marked as corrupt, and read all the same");
  }
}

std::shared_ptr<const Source> open_data_file(const Source& file, const Qcow2Header& header,
                                             FormatGate& gate) {
  if (!header.data_file_name || header.data_file_name->empty()) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = file.name(),
                 .action = "open its external data file",
                 .cause = "the image does not name it"});
  }
  return gate.open_data_file(*header.data_file_name);
}

/// One cache for a whole chain, however long: so memory stays bounded.
std::shared_ptr<Qcow2TableCache> shared_tables(FormatGate& gate) {
  using Tables = std::shared_ptr<Qcow2TableCache>;
  if (!gate.shared().has_value()) {
    gate.shared() = std::make_shared<Qcow2TableCache>();
  }
  return std::any_cast<Tables>(gate.shared());
}

}  // namespace

bool is_qcow2(const ImageMarks& marks) { return marks.start.starts_with("QFI\xfb"); }

std::unique_ptr<Source> open_qcow2_image(std::unique_ptr<Source> file, FormatGate& gate) {
  const Qcow2Header header = read_qcow2_header(*file);
  warn_of_state(header, file->name(), gate);
  Qcow2Parts parts{.tables = shared_tables(gate), .force_corrupt = gate.force_corrupt()};
  if (gate.snapshot().is_given()) {
    parts.snapshot = choose_snapshot(*file, header, gate.snapshot());
  }
  if (header.encryption != Qcow2Encryption::kNone) {
    if (std::optional<Secret> passphrase = gate.passphrase()) {
      parts.cipher = unlock_qcow2(*file, header, std::move(*passphrase));
    }
  }
  if (header.has_data_file()) {
    parts.data_file = open_data_file(*file, header, gate);
  }
  if (!header.backing_name.empty()) {
    parts.backing = gate.open_backing(header.backing_name, header.backing_format);
  }
  parts.file = std::move(file);
  return open_qcow2(std::move(parts), header);
}

}  // namespace vmferry
