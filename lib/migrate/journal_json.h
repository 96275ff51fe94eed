// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "lib/migrate/journal.h"
#include "lib/migrate/step.h"
#include "vmferry/migrate.h"

// How the values of a plan are written in a journal. A member that an older journal lacks keeps its
// default.

namespace vmferry::migrate {

// What the values of each enumeration are called in a journal, in its order. Journals of format 1
// have numbers instead: positions in these lists as they were then. So what is added comes last,
// and nothing is taken out.
inline constexpr std::array kModeNames{"auto", "live", "offline"};
inline constexpr std::array kMethodNames{"auto", "staged", "mirror"};
inline constexpr std::array kStatusNames{"pending", "begun", "done", "undone"};
inline constexpr std::array kKindNames{"move", "sync", "cutover", "stop"};
constexpr const auto& names_of(MigrateMode) { return kModeNames; }
constexpr const auto& names_of(MigrateMethod) { return kMethodNames; }
constexpr const auto& names_of(StepStatus) { return kStatusNames; }
constexpr const auto& names_of(RunKind) { return kKindNames; }

/// Formats of images and steps have their own names. Steps of format 1 as they were numbered.
inline constexpr std::array kNumberedFormats{"raw", "qcow2"};
inline constexpr std::array kNumberedSteps{
    "define-secret",     "create-volumes", "snapshot",        "copy-frozen",     "stage-overlays",
    "pivot-overlays",    "commit",         "mirror",          "pivot-mirrors",   "migrate-shared",
    "migrate-mirrored",  "shut-down",      "copy-offline",    "define",          "start",
    "check-definitions", "sparsify",       "remove-overlays", "undefine-source", "delete-source"};

inline std::invalid_argument unknown_name(const std::string& name) {
  return std::invalid_argument(
      "it names a step, state or format that this version of vmferry does "
      "not know: " +
      name);
}

/// The name that a journal has, or numbers. Throws std::invalid_argument.
template <size_t N>
std::string name_in(const nlohmann::json& in, const std::array<const char*, N>& names) {
  if (in.is_string()) {
    return in.get<std::string>();
  }
  if (!in.is_number_unsigned() || in.get<uint64_t>() >= N) {
    throw unknown_name(in.is_number() ? in.dump() : "no name");
  }
  return names.at(in.get<size_t>());
}

}  // namespace vmferry::migrate

template <typename E>
struct nlohmann::adl_serializer<E, std::void_t<decltype(vmferry::migrate::names_of(E{}))>> {
  static void to_json(json& out, E value) {
    out = vmferry::migrate::names_of(value).at(static_cast<size_t>(value));
  }
  static void from_json(const json& in, E& value) {
    const auto& names = vmferry::migrate::names_of(value);
    const std::string name = vmferry::migrate::name_in(in, names);
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      throw vmferry::migrate::unknown_name(name);
    }
    value = static_cast<E>(found - names.begin());
  }
};

template <>
struct nlohmann::adl_serializer<vmferry::ImageFormat> {
  static void to_json(json& out, const vmferry::ImageFormat& format) { out = format.name(); }
  static void from_json(const json& in, vmferry::ImageFormat& format) {
    const std::string name = vmferry::migrate::name_in(in, vmferry::migrate::kNumberedFormats);
    const auto found = vmferry::find_format(name);
    if (!found) {
      throw vmferry::migrate::unknown_name(name);
    }
    format = *found;
  }
};

template <typename T>
struct nlohmann::adl_serializer<std::optional<T>> {
  static void to_json(json& out, const std::optional<T>& value) {
    out = value ? json(*value) : json(nullptr);
  }
  static void from_json(const json& in, std::optional<T>& value) {
    value = in.is_null() ? std::nullopt : std::optional<T>(in.get<T>());
  }
};

template <>
struct nlohmann::adl_serializer<std::chrono::seconds> {
  static void to_json(json& out, const std::chrono::seconds& value) { out = value.count(); }
  static void from_json(const json& in, std::chrono::seconds& value) {
    value = std::chrono::seconds(in.get<int64_t>());
  }
};

namespace vmferry {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(VolumeName, pool, image)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SecretName, uuid, usage)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(CephMonitor, host, port)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(RbdLayout, object_size, stripe_unit, stripe_count,
                                                data_pool, features)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ImageLayout, format, compression, compression_level,
                                                cluster_size)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(CephOptions, conf, id, keyring, cluster)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(RbdLocation, pool, image, options)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(HostImage, path, format, backing, chain_known,
                                                identity, allowed, with_snapshots, with_layers,
                                                layer_names, volume)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(MovingDisk, dev, original, image, volume, size,
                                                data, overlay, bridge, next_overlay, first,
                                                first_image)

inline void to_json(nlohmann::json& out, const Step& step) {
  out = {{"name", step.name}, {"text", step.text}, {"undo", step.undo}};
}
/// The point of no return is the step's own.
inline void from_json(const nlohmann::json& in, Step& step) {
  step.name = migrate::name_in(in.contains("name") ? in.at("name") : in.at("kind"),
                               migrate::kNumberedSteps);
  const migrate::StepRow* row = migrate::find_step(step.name);
  if (row == nullptr) {
    throw migrate::unknown_name(step.name);
  }
  step.text = in.value("text", "");
  step.undo = in.value("undo", "");
  step.no_return = migrate::in_words(row->no_return);
}
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(
    MigrateRequest, domain, from, to, pool, name_template, disks, bases, to_dir, file_layout,
    allow_files, mode, method, monitors, ceph_conf, user, secret, define_secret, keyring, cluster,
    layout, overlay_dir, overlay_max, quiesce, bandwidth, timeout, shutdown_timeout,
    max_downtime_ms, parallel, auto_converge, synchronous_writes, migration_uri, listen_address,
    tls, force_off, snapshots, chain_as_snapshots, rewrite_only, delete_source,
    keep_source_definition, uuid, no_shutdown, volumes_move, old_cluster)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(HostIdentity, hostname, uuid)
// Not the checks: they were of that moment.
inline void to_json(nlohmann::json& out, const Plan& plan) {
  out = {{"kind", plan.kind},
         {"round", plan.round},
         {"request", plan.request},
         {"uuid", plan.uuid},
         {"source_host", plan.source_host},
         {"target_host", plan.target_host},
         {"live", is_live(plan.method)},
         {"staged", plan.method == CopyMethod::kStaged},
         {"was_running", plan.was_running},
         {"autostart", plan.autostart},
         {"original_persistent", plan.original_persistent},
         {"disks", plan.disks},
         {"stays", plan.stays},
         {"snapshots", plan.snapshots},
         {"steps", plan.steps}};
}
inline void from_json(const nlohmann::json& in, Plan& plan) {
  const auto take = [&in](const char* name, auto& member) { member = in.value(name, member); };
  take("kind", plan.kind);
  take("round", plan.round);
  take("request", plan.request);
  take("uuid", plan.uuid);
  take("source_host", plan.source_host);
  take("target_host", plan.target_host);
  if (in.value("live", false)) {
    plan.method = in.value("staged", false) ? CopyMethod::kStaged : CopyMethod::kMirrored;
  }
  take("was_running", plan.was_running);
  take("autostart", plan.autostart);
  take("original_persistent", plan.original_persistent);
  take("disks", plan.disks);
  take("stays", plan.stays);
  take("snapshots", plan.snapshots);
  take("steps", plan.steps);
}

}  // namespace vmferry
