// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "tools/vmferry/info.h"
#include "tools/vmferry/ui/text_table.h"

namespace vmferry::cli {
namespace {

// "374.2 MiB (392364032 bytes)", or only one of them where they say the same.
std::string both_sizes(uint64_t bytes) {
  const std::string exact = exact_bytes(bytes);
  if (bytes < 1024) {
    return fmt::format("{} bytes", bytes);
  }
  return fmt::format(
      "{} ({} bytes)",
      exact.find(' ') != std::string::npos && exact.size() < 9 ? exact : about_bytes(bytes), bytes);
}

/// Lines of "  key   value".
class Lines {
 public:
  void add(std::string_view key, const std::string& value) {
    if (!value.empty()) {
      out_ += fmt::format("  {:<14}{}\n", key, printable(value));
    }
  }
  void raw(const std::string& text) { out_ += text; }
  const std::string& text() const { return out_; }

 private:
  std::string out_;
};

std::string describe_data(const ImageFacts& facts) {
  if (!facts.data_bytes) {
    return {};
  }
  std::string text = both_sizes(*facts.data_bytes);
  if (facts.compressed_bytes > 0 && facts.qcow2) {
    text += fmt::format(", of which {} are compressed ({})", about_bytes(facts.compressed_bytes),
                        facts.qcow2->compression);
  }
  return text;
}

std::string guest_time(uint64_t nanoseconds) {
  const uint64_t seconds = nanoseconds / 1'000'000'000;
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

void add_snapshots(const std::vector<SnapshotFacts>& snapshots, Lines& lines) {
  if (snapshots.empty()) {
    return;
  }
  TextTable table({"id", "name", "was", "date", ">size", ">VM state", ">VM clock", "protected"});
  for (const SnapshotFacts& snapshot : snapshots) {
    const bool has_state = snapshot.vm_state_bytes.value_or(0) > 0;
    const bool was_renamed =
        !snapshot.recorded_name.empty() && snapshot.recorded_name != snapshot.name;
    table.add({snapshot.id, snapshot.name, was_renamed ? snapshot.recorded_name : "",
               snapshot.date_seconds != 0 ? format_date(snapshot.date_seconds) : "",
               snapshot.virtual_size ? about_bytes(*snapshot.virtual_size) : "",
               has_state ? about_bytes(*snapshot.vm_state_bytes) : "",
               has_state ? guest_time(snapshot.vm_clock_nanoseconds.value_or(0)) : "",
               snapshot.is_protected ? "yes" : ""});
  }
  lines.raw("\n  Snapshots\n" + table.text("    "));
}

void add_bitmaps(const Qcow2Facts& facts, Lines& lines) {
  if (facts.bitmaps.empty()) {
    return;
  }
  TextTable table({"name", ">granularity", "state"});
  for (const BitmapFacts& bitmap : facts.bitmaps) {
    const char* state = bitmap.is_in_use           ? "in use, or not saved: of no use"
                        : !facts.are_bitmaps_valid ? "out of date"
                        : bitmap.is_recording      ? "recording"
                                                   : "not recording";
    table.add({bitmap.name, exact_bytes(bitmap.granularity), state});
  }
  lines.raw("\n  Bitmaps\n" + table.text("    "));
}

void add_qcow2(const Qcow2Facts& facts, Lines& lines) {
  lines.add("cluster size", exact_bytes(facts.cluster_size));
  lines.add("compression", facts.compression);
  lines.add("encryption", facts.encryption);
  lines.add("refcounts", fmt::format("{} bits", facts.refcount_bits));
  lines.add("features", fmt::format("{}", fmt::join(facts.features, ", ")));
  lines.add("backing file", facts.backing_file.empty() ? ""
                            : facts.backing_format.empty()
                                ? facts.backing_file + " (its format is not stored)"
                                : fmt::format("{} ({})", facts.backing_file, facts.backing_format));
  lines.add("data file", facts.data_file);
  add_snapshots(facts.snapshots, lines);
  add_bitmaps(facts, lines);
}

void add_rbd(const RbdFacts& facts, Lines& lines) {
  lines.add("object size", exact_bytes(facts.object_size));
  if (facts.stripe_count > 1) {
    lines.add("striping", fmt::format("units of {}, {} objects at a time",
                                      exact_bytes(facts.stripe_unit), facts.stripe_count));
  }
  lines.add("features", fmt::format("{}", fmt::join(facts.features, ", ")));
  lines.add("data pool", facts.data_pool);
  if (!facts.parent.empty()) {
    lines.add("parent", fmt::format("{}, of which {} can show through", facts.parent,
                                    about_bytes(facts.parent_overlap)));
  }
  lines.add("id", facts.id);
  if (facts.created_seconds != 0) {
    lines.add("created", format_date(facts.created_seconds));
  }
  add_snapshots(facts.snapshots, lines);
}

std::string state_text(const Point& point) {
  return fmt::format("snapshot {}{}{}", point.name,
                     point.id.empty() ? "" : " (id " + point.id + ")",
                     point.seconds ? ", " + format_date(*point.seconds) : "");
}

std::string image_text(const ImageFacts& facts) {
  Lines lines;
  lines.raw(printable(facts.name) + "\n");
  lines.add("format",
            fmt::format("{}{}{}", facts.format.name(),
                        facts.qcow2 ? fmt::format(", version {}", facts.qcow2->version) : "",
                        facts.was_probed ? " (probed)" : ""));
  lines.add("virtual size", both_sizes(facts.virtual_size));
  if (facts.format.is_container()) {
    lines.add("file size", both_sizes(facts.file_size));
  }
  if (facts.allocated_bytes) {
    lines.add(facts.rbd ? "used" : "on disk", both_sizes(*facts.allocated_bytes));
  }
  lines.add("data", describe_data(facts));
  for (const ExtentFacts& extent : facts.extents) {
    lines.add("extent", fmt::format("{}, {}", extent.name, both_sizes(extent.file_size)));
  }
  if (facts.point) {
    lines.add("state", state_text(*facts.point));
  }
  if (facts.qcow2) {
    add_qcow2(*facts.qcow2, lines);
  }
  if (facts.rbd) {
    add_rbd(*facts.rbd, lines);
  }
  return lines.text();
}

std::string file_system_text(const std::optional<FileSystem>& found) {
  if (!found) {
    return {};
  }
  return found->version.empty() ? found->type : fmt::format("{} {}", found->type, found->version);
}

std::string type_text(const Partition& partition) {
  return partition.type_name.empty() ? partition.type : partition.type_name;
}

std::string flags_text(const Partition& partition) {
  if (partition.is_active) {
    return "active";
  }
  return partition.role == PartitionRole::kLogical ? "logical" : "";
}

std::string table_text(const PartitionTable& table) {
  std::string out = fmt::format("\nPartition table: {}, id {}, sectors of {} bytes\n",
                                table.scheme == PartitionScheme::kGpt ? "GPT" : "MBR", table.id,
                                table.sector_size);
  TextTable rows({">nr", ">start", ">size", "type", "flag", "name", "file system", "label"});
  for (const Partition& partition : table.partitions) {
    rows.add({std::to_string(partition.number), exact_bytes(partition.offset),
              about_bytes(partition.length), type_text(partition), flags_text(partition),
              partition.name, file_system_text(partition.file_system),
              partition.file_system ? partition.file_system->label : ""});
  }
  out += rows.empty() ? "  no partitions\n" : rows.text("  ");
  for (const std::string& note : table.notes) {
    out += "  note: " + printable(note) + "\n";
  }
  return out;
}

std::string contents_text(const Contents& contents) {
  std::string out;
  if (contents.whole_disk) {
    out += fmt::format("\nOn the whole disk: {}", file_system_text(contents.whole_disk));
    if (!contents.whole_disk->label.empty()) {
      out += fmt::format(", label '{}'", printable(contents.whole_disk->label));
    }
    out += "\n";
  }
  if (contents.table) {
    out += table_text(*contents.table);
  }
  if (!contents.whole_disk && !contents.table) {
    out += "\nNo partition table and no file system found\n";
  }
  for (const std::string& note : contents.notes) {
    out += "  note: " + printable(note) + "\n";
  }
  return out;
}

}  // namespace

std::string info_as_text(const ImageInfo& info, bool with_chain) {
  std::string out = image_text(info.chain.front());
  if (info.contents) {
    out += contents_text(*info.contents);
  }
  if (with_chain) {
    for (size_t i = 1; i < info.chain.size(); ++i) {
      out += "\nBehind it: " + image_text(info.chain[i]);
    }
  } else if (info.chain.size() > 1) {
    out += "\nBacking chain:";
    for (const ImageFacts& facts : info.chain) {
      out += (&facts == info.chain.data() ? " " : " <- ") + printable(facts.name);
    }
    out += "\n";
  }
  if (!info.problem.empty()) {
    out += "\nNot all could be read: " + printable(info.problem) + "\n";
    if (!info.hint.empty()) {
      out += "  hint: " + printable(info.hint) + "\n";
    }
  }
  return out;
}

}  // namespace vmferry::cli
