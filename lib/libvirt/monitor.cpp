// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/monitor.h"

#include <nlohmann/json.hpp>

#include "vmferry/error.h"

namespace vmferry::libvirt {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& cause) {
  throw Error(
      {.kind = ErrorKind::kUnsupported, .object = "QEMU's monitor", .action = {}, .cause = cause});
}

/// Is the volume what these options open, directly or below?
bool names_volume(const json& options, const std::string& pool, const std::string& image) {
  if (!options.is_object()) {
    return false;
  }
  if (options.value("driver", "") == "rbd") {
    return options.value("pool", "") == pool && options.value("image", "") == image;
  }
  return options.contains("file") && names_volume(options["file"], pool, image);
}

/// QEMU names what has more options than fit into a plain name "json:{...}".
bool is_of_volume(const std::string& name, const std::string& pool, const std::string& image) {
  constexpr std::string_view kJson = "json:";
  if (!name.starts_with(kJson)) {
    return false;
  }
  return names_volume(json::parse(name.substr(kJson.size()), nullptr, false), pool, image);
}

/// The formats of new disks. What libvirt sets of one of another format is not known here.
bool can_be_reopened(const json& node) {
  const json& driver = node.at("drv");
  return driver == "raw" || driver == "qcow2";
}

/// What is not said falls back to QEMU's default, so all that libvirt sets is said again.
json reopened(const json& node, const std::string& index) {
  const json& cache = node.at("cache");
  return {{"driver", node.at("drv")},
          {"node-name", node.at("node-name")},
          {"file", "libvirt-" + index + "-storage"},
          {"read-only", node.at("ro")},
          {"cache", {{"direct", cache.at("direct")}, {"no-flush", cache.at("no-flush")}}},
          {"detect-zeroes", node.at("detect_zeroes")},
          {"discard", "unmap"}};
}

}  // namespace

std::string query_nodes() {
  return json{{"execute", "query-named-block-nodes"}, {"arguments", {{"flat", true}}}}.dump();
}

std::string reopen_with_discard(const std::string& nodes, const std::string& index) {
  const std::string format = "libvirt-" + index + "-format";
  try {
    const json answer = json::parse(nodes);
    for (const json& node : answer.at("return")) {
      if (node.at("node-name") != format || !can_be_reopened(node)) {
        continue;
      }
      return json{{"execute", "blockdev-reopen"},
                  {"arguments", {{"options", json::array({reopened(node, index)})}}}}
          .dump();
    }
  } catch (const json::exception& error) {
    refuse(std::string("its answer is not understood: ") + error.what());
  }
  refuse("there is no node " + format + " of a raw or qcow2 image");
}

std::vector<std::string> commands_to_forget(const std::string& nodes, const std::string& pool,
                                            const std::string& image) {
  std::vector<std::string> commands;
  try {
    const json answer = json::parse(nodes);
    for (const json& node : answer.at("return")) {
      if (!is_of_volume(node.value("file", ""), pool, image)) {
        continue;
      }
      const json removal = {{"execute", "blockdev-del"},
                            {"arguments", {{"node-name", node.at("node-name")}}}};
      commands.insert(node.at("drv") == "rbd" ? commands.end() : commands.begin(), removal.dump());
    }
  } catch (const json::exception& error) {
    refuse(std::string("its answer is not understood: ") + error.what());
  }
  return commands;
}

std::string query_migration() { return json{{"execute", "query-migrate"}}.dump(); }

std::vector<std::string> migration_blockers(const std::string& answer) {
  check_answer(answer);
  try {
    const json told = json::parse(answer).at("return");
    if (!told.contains("blocked-reasons")) {
      return {};
    }
    return told.at("blocked-reasons").get<std::vector<std::string>>();
  } catch (const json::exception& error) {
    refuse(std::string("its answer is not understood: ") + error.what());
  }
}

std::string query_run_state() { return json{{"execute", "query-status"}}.dump(); }

std::string run_state(const std::string& answer) {
  check_answer(answer);
  try {
    return json::parse(answer).at("return").at("status").get<std::string>();
  } catch (const json::exception& error) {
    refuse(std::string("its answer is not understood: ") + error.what());
  }
}

void check_answer(const std::string& answer) {
  const json parsed = json::parse(answer, nullptr, false);
  if (parsed.is_object() && parsed.contains("return")) {
    return;
  }
  const bool told = parsed.is_object() && parsed.contains("error");
  refuse(told ? parsed["error"].value("desc", "it failed") : "the answer is not understood");
}

}  // namespace vmferry::libvirt
