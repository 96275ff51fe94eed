// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/inspect/type_names.h"

#include <libfdisk/libfdisk.h>

#include <memory>

namespace vmferry {
namespace {

struct Unref {
  void operator()(fdisk_context* context) const { fdisk_unref_context(context); }
};

std::string name_in(const fdisk_label* label, const Partition& partition, PartitionScheme scheme) {
  const fdisk_parttype* type =
      scheme == PartitionScheme::kGpt
          ? fdisk_label_get_parttype_from_string(label, partition.type.c_str())
          : fdisk_label_get_parttype_from_code(
                label, static_cast<unsigned>(std::stoul(partition.type, nullptr, 16)));
  const char* name = type != nullptr ? fdisk_parttype_get_name(type) : nullptr;
  return name != nullptr ? name : "";
}

}  // namespace

void name_types(PartitionTable& table) {
  const std::unique_ptr<fdisk_context, Unref> context(fdisk_new_context());
  if (!context) {
    return;
  }
  const fdisk_label* label =
      fdisk_get_label(context.get(), table.scheme == PartitionScheme::kGpt ? "gpt" : "dos");
  if (label == nullptr) {
    return;
  }
  for (Partition& partition : table.partitions) {
    partition.type_name = name_in(label, partition, table.scheme);
  }
}

}  // namespace vmferry
