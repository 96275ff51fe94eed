// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/ovf.h"

#include <tinyxml2.h>

#include <map>
#include <string_view>

#include "lib/core/printable.h"

namespace vmferry {
namespace {

constexpr size_t kMostDisks = 256;

/// Prefixes of namespaces are the writer's choice.
std::string_view local_name(std::string_view name) {
  const size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

std::string attribute(const tinyxml2::XMLElement& element, std::string_view name) {
  for (const tinyxml2::XMLAttribute* at = element.FirstAttribute(); at != nullptr;
       at = at->Next()) {
    if (local_name(at->Name()) == name) {
      return at->Value();
    }
  }
  return {};
}

/// Calls `visit` with the children of `parent` that have this name.
template <typename Visit>
void each_child(const tinyxml2::XMLElement& parent, std::string_view name, const Visit& visit) {
  for (const tinyxml2::XMLElement* child = parent.FirstChildElement(); child != nullptr;
       child = child->NextSiblingElement()) {
    if (local_name(child->Name()) == name) {
      visit(*child);
    }
  }
}

/// oVirt calls its raw disks so as well, and says what they are in a word of its own.
bool says_vmdk(const tinyxml2::XMLElement& disk) {
  return attribute(disk, "format").find("vmdk") != std::string::npos &&
         attribute(disk, "volume-format") != "RAW";
}

struct OvfFile {
  std::string href;
  std::string compression;
  bool is_in_chunks = false;
};

class OvfReader {
 public:
  OvfParse read(const tinyxml2::XMLElement& envelope) {
    each_child(envelope, "References", [this](const auto& references) {
      each_child(references, "File", [this](const auto& file) { add_file(file); });
    });
    each_child(envelope, "DiskSection", [this](const auto& section) {
      each_child(section, "Disk", [this](const auto& disk) { add_disk(disk); });
    });
    return std::move(parsed_);
  }

 private:
  void add_file(const tinyxml2::XMLElement& file) {
    std::string compression = attribute(file, "compression");
    if (compression == "identity") {
      compression.clear();
    }
    files_[attribute(file, "id")] = {attribute(file, "href"), compression,
                                     !attribute(file, "chunkSize").empty()};
  }

  void add_disk(const tinyxml2::XMLElement& element) {
    if (parsed_.disks.size() == kMostDisks) {
      parsed_.cause = "it has more than " + std::to_string(kMostDisks) + " disks";
      return;
    }
    OvfDisk disk = {.id = attribute(element, "diskId"),
                    .file = {},
                    .compression = {},
                    .is_vmdk = says_vmdk(element),
                    .has_parent = !attribute(element, "parentRef").empty()};
    if (const std::string reference = attribute(element, "fileRef"); !reference.empty()) {
      const auto found = files_.find(reference);
      if (found == files_.end() || found->second.href.empty()) {
        parsed_.cause = "disk '" + printable(disk.id) + "' names a file that is not listed";
        return;
      }
      disk.file = found->second.href;
      disk.compression = found->second.compression;
      disk.is_in_chunks = found->second.is_in_chunks;
    }
    parsed_.disks.push_back(std::move(disk));
  }

  std::map<std::string, OvfFile> files_;
  OvfParse parsed_;
};

}  // namespace

OvfParse parse_ovf(const std::string& xml) {
  tinyxml2::XMLDocument document;
  if (document.Parse(xml.data(), xml.size()) != tinyxml2::XML_SUCCESS) {
    return {.disks = {},
            .cause =
                "line " + std::to_string(document.ErrorLineNum()) + " is not XML that can be read"};
  }
  const tinyxml2::XMLElement* envelope = document.RootElement();
  if (envelope == nullptr || local_name(envelope->Name()) != "Envelope") {
    return {.disks = {}, .cause = "it is not an OVF envelope"};
  }
  return OvfReader().read(*envelope);
}

}  // namespace vmferry
