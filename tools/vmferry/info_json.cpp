// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/info.h"

namespace vmferry::cli {
namespace {

using Json = nlohmann::ordered_json;

// A key whose text is empty says nothing, and is left out.
void set_text(Json& object, const char* key, const std::string& text) {
  if (!text.empty()) {
    object[key] = text;
  }
}

void set_date(Json& object, const char* key, int64_t seconds) {
  if (seconds != 0) {
    object[key] = format_date(seconds);
  }
}

template <typename T>
void set_known(Json& object, const char* key, const std::optional<T>& value) {
  if (value) {
    object[key] = *value;
  }
}

Json as_json(const SnapshotFacts& snapshot, bool is_rbd) {
  Json json = {{"id", snapshot.id}, {"name", snapshot.name}};
  set_date(json, "date", snapshot.date_seconds);
  set_known(json, "virtual_bytes", snapshot.virtual_size);
  set_known(json, "vm_state_bytes", snapshot.vm_state_bytes);
  set_known(json, "vm_clock_nanoseconds", snapshot.vm_clock_nanoseconds);
  if (is_rbd) {
    json["protected"] = snapshot.is_protected;
    if (!snapshot.recorded_name.empty()) {
      json["recorded_name"] = snapshot.recorded_name;
      set_date(json, "recorded_date", snapshot.recorded_seconds);
    }
  }
  return json;
}

Json list_of(const std::vector<SnapshotFacts>& snapshots, bool is_rbd) {
  Json list = Json::array();
  for (const SnapshotFacts& snapshot : snapshots) {
    list.push_back(as_json(snapshot, is_rbd));
  }
  return list;
}

Json as_json(const Qcow2Facts& facts) {
  Json json = {{"version", facts.version},
               {"cluster_bytes", facts.cluster_size},
               {"compression_type", facts.compression},
               {"refcount_bits", facts.refcount_bits},
               {"features", facts.features}};
  set_text(json, "encryption", facts.encryption);
  set_text(json, "backing_file", facts.backing_file);
  set_text(json, "backing_format", facts.backing_format);
  set_text(json, "data_file", facts.data_file);
  json["snapshots"] = list_of(facts.snapshots, false);
  json["bitmaps"] = Json::array();
  for (const BitmapFacts& bitmap : facts.bitmaps) {
    json["bitmaps"].push_back({{"name", bitmap.name},
                               {"granularity_bytes", bitmap.granularity},
                               {"in_use", bitmap.is_in_use},
                               {"recording", bitmap.is_recording},
                               {"valid", facts.are_bitmaps_valid && !bitmap.is_in_use}});
  }
  return json;
}

Json as_json(const RbdFacts& facts) {
  Json json = {{"id", facts.id},
               {"object_bytes", facts.object_size},
               {"stripe_unit_bytes", facts.stripe_unit},
               {"stripe_count", facts.stripe_count},
               {"features", facts.features}};
  set_text(json, "data_pool", facts.data_pool);
  set_text(json, "parent", facts.parent);
  if (!facts.parent.empty()) {
    json["parent_overlap_bytes"] = facts.parent_overlap;
  }
  set_known(json, "used_bytes", facts.used_bytes);
  set_date(json, "created", facts.created_seconds);
  json["snapshots"] = list_of(facts.snapshots, true);
  return json;
}

Json as_json(const ImageFacts& facts) {
  Json json = {{"name", facts.name},
               {"format", facts.format.name()},
               {"probed", facts.was_probed},
               {"virtual_bytes", facts.virtual_size},
               {"file_bytes", facts.file_size}};
  set_known(json, "allocated_bytes", facts.allocated_bytes);
  set_known(json, "data_bytes", facts.data_bytes);
  for (const ExtentFacts& extent : facts.extents) {
    Json one = {{"name", extent.name}, {"file_bytes", extent.file_size}};
    set_known(one, "allocated_bytes", extent.allocated_bytes);
    json["extents"].push_back(one);
  }
  if (facts.point) {
    json["state"] = {{"name", facts.point->name}, {"id", facts.point->id}};
    set_date(json["state"], "date", facts.point->seconds.value_or(0));
    json["state"]["virtual_bytes"] = facts.point->size;
  }
  if (facts.qcow2 && facts.data_bytes) {
    json["compressed_bytes"] = facts.compressed_bytes;
  }
  if (facts.qcow2) {
    json["qcow2"] = as_json(*facts.qcow2);
  }
  if (facts.rbd) {
    json["rbd"] = as_json(*facts.rbd);
  }
  return json;
}

Json as_json(const FileSystem& found) {
  Json json = {{"type", found.type}};
  set_text(json, "usage", found.usage);
  set_text(json, "version", found.version);
  set_text(json, "label", found.label);
  set_text(json, "uuid", found.uuid);
  return json;
}

Json as_json(const Chs& chs) { return {chs.cylinder, chs.head, chs.sector}; }

const char* name_of(PartitionRole role) {
  switch (role) {
    case PartitionRole::kPrimary:
      return "primary";
    case PartitionRole::kExtended:
      return "extended";
    case PartitionRole::kLogical:
      return "logical";
  }
  return "";
}

Json as_json(const Partition& partition, PartitionScheme scheme) {
  Json json = {{"number", partition.number}};
  if (scheme == PartitionScheme::kMbr) {
    json["role"] = name_of(partition.role);
  }
  json["offset"] = partition.offset;
  json["bytes"] = partition.length;
  json["type"] = partition.type;
  set_text(json, "type_name", partition.type_name);
  set_text(json, "name", partition.name);
  json["uuid"] = partition.uuid;
  if (scheme == PartitionScheme::kGpt) {
    json["attributes"] = partition.attributes;
  } else {
    json["active"] = partition.is_active;
  }
  if (partition.first_chs && partition.last_chs) {
    json["chs"] = {{"first", as_json(*partition.first_chs)},
                   {"last", as_json(*partition.last_chs)}};
  }
  if (partition.file_system) {
    json["file_system"] = as_json(*partition.file_system);
  }
  return json;
}

Json as_json(const PartitionTable& table) {
  Json json = {{"scheme", table.scheme == PartitionScheme::kGpt ? "gpt" : "mbr"},
               {"id", table.id},
               {"sector_bytes", table.sector_size},
               {"partitions", Json::array()}};
  for (const Partition& partition : table.partitions) {
    json["partitions"].push_back(as_json(partition, table.scheme));
  }
  json["notes"] = table.notes;
  return json;
}

Json as_json(const Contents& contents) {
  Json json = Json::object();
  if (contents.whole_disk) {
    json["file_system"] = as_json(*contents.whole_disk);
  }
  if (contents.table) {
    json["partition_table"] = as_json(*contents.table);
  }
  json["notes"] = contents.notes;
  return json;
}

}  // namespace

Json info_as_json(const ImageInfo& info, bool with_chain) {
  Json json = as_json(info.chain.front());
  if (info.contents) {
    json["contents"] = as_json(*info.contents);
  }
  if (with_chain) {
    json["backing_chain"] = Json::array();
    for (size_t i = 1; i < info.chain.size(); ++i) {
      json["backing_chain"].push_back(as_json(info.chain[i]));
    }
  }
  set_text(json, "problem", info.problem);
  set_text(json, "hint", info.hint);
  return json;
}

}  // namespace vmferry::cli
