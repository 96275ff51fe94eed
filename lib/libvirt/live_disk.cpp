// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/live_disk.h"

#include <tinyxml2.h>

#include "vmferry/error.h"

namespace vmferry::libvirt {
namespace {

Error not_told(std::string cause) {
  return Error({.kind = ErrorKind::kUnsupported,
                .object = "QEMU's monitor",
                .action = {},
                .cause = std::move(cause)});
}

std::string attribute(const tinyxml2::XMLElement* element, const char* name) {
  const char* value = element ? element->Attribute(name) : nullptr;
  return value ? value : "";
}

/// The <disk> of a definition with that target; null: there is none.
const tinyxml2::XMLElement* find_disk_element(const tinyxml2::XMLDocument& definition,
                                              const std::string& dev) {
  const auto* devices = tinyxml2::XMLConstHandle(definition)
                            .FirstChildElement("domain")
                            .FirstChildElement("devices")
                            .ToElement();
  const auto* disk = devices ? devices->FirstChildElement("disk") : nullptr;
  for (; disk; disk = disk->NextSiblingElement("disk")) {
    const auto* target = disk->FirstChildElement("target");
    if (target && target->Attribute("dev", dev.c_str())) {
      return disk;
    }
  }
  return nullptr;
}

}  // namespace

LiveImage live_image(const std::string& live_definition, const std::string& dev) {
  tinyxml2::XMLDocument document;
  document.Parse(live_definition.c_str(), live_definition.size());
  const tinyxml2::XMLElement* disk = find_disk_element(document, dev);
  if (!disk) {
    throw not_told("the live definition has no disk " + dev);
  }
  LiveImage image{.index = attribute(disk->FirstChildElement("source"), "index"),
                  .discard = attribute(disk->FirstChildElement("driver"), "discard")};
  if (image.index.empty()) {
    throw not_told("libvirt does not tell the node of " + dev);
  }
  return image;
}

MirrorFacts mirror_facts(const std::string& live_definition, const std::string& dev) {
  tinyxml2::XMLDocument document;
  if (document.Parse(live_definition.c_str()) != tinyxml2::XML_SUCCESS) {
    return {};
  }
  const tinyxml2::XMLElement* disk = find_disk_element(document, dev);
  const tinyxml2::XMLElement* mirror = disk ? disk->FirstChildElement("mirror") : nullptr;
  if (!mirror) {
    return {};
  }
  MirrorFacts facts{.ready = mirror->Attribute("ready", "yes") != nullptr, .target = {}};
  const tinyxml2::XMLElement* source = mirror->FirstChildElement("source");
  for (const char* name : {"file", "dev", "name"}) {
    if (const char* value = source ? source->Attribute(name) : nullptr) {
      facts.target = value;
    }
  }
  return facts;
}

}  // namespace vmferry::libvirt
