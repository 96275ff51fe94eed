// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/snapshot_facts.h"

#include "lib/domain/disk_facts.h"
#include "lib/domain/xml_tree.h"

namespace vmferry {
namespace {

using tinyxml2::XMLElement;
using Where = DomainSnapshot::Where;

/// Of a text that tinyxml2 reads as it is meant: throws Error for any other.
std::vector<Span> instructions_of(const XmlPlaces& places) {
  std::vector<Span> instructions;
  XmlTokens tokens(places);
  for (XmlToken token; tokens.next(token);) {
    if (token.kind == XmlTokenKind::kInstruction) {
      instructions.push_back(token.span);
    }
  }
  return instructions;
}

/// Of snapshot='...'. Without one, what is in `otherwise`.
Where where_of(const XMLElement* element, Where otherwise) {
  const std::string word = attribute(element, "snapshot");
  if (word.empty()) {
    return otherwise;
  }
  return word == "no" ? Where::kNowhere : word == "internal" ? Where::kInside : Where::kBeside;
}

/// Snapshots of old libvirts list no disks: all that there were are inside of their images then.
Where state_of(const XMLElement& snapshot, const std::string& dev) {
  const XMLElement* disks = child(&snapshot, "disks");
  for (const XMLElement* e = child(disks, "disk"); e; e = e->NextSiblingElement("disk")) {
    if (attribute(e, "name") == dev) {
      return where_of(e, Where::kInside);
    }
  }
  return disks == nullptr ? Where::kInside : Where::kNowhere;
}

}  // namespace

DomainSnapshot read_domain_snapshot(const std::string& text, const std::string& object) {
  const XmlPlaces places(text, object);
  if (text.size() > kMaxDefinitionBytes) {
    throw places.error(ErrorKind::kUnsupported, 0, "a snapshot's definition of more than 4 MiB");
  }
  tinyxml2::XMLDocument document;
  const std::vector<Span> instructions = instructions_of(places);
  parse_tree(document, text, {0, text.size()}, instructions);
  const XMLElement& root = *document.RootElement();
  if (std::string(root.Name()) != "domainsnapshot") {
    throw places.error(ErrorKind::kCorrupt, 0, "not the definition of a snapshot");
  }
  DomainSnapshot snapshot{.name = text_of(child(&root, "name")),
                          .memory = where_of(child(&root, "memory"), Where::kNowhere),
                          .memory_file = attribute(child(&root, "memory"), "file"),
                          .disks = {}};
  const XMLElement* devices = child(child(&root, "domain"), "devices");
  for (const XMLElement* e = child(devices, "disk"); e; e = e->NextSiblingElement("disk")) {
    const DomainDisk disk = read_disk(*e);
    const Where state = state_of(root, disk.target);
    if (disk.device == "disk" && state != Where::kNowhere) {
      snapshot.disks.push_back({.dev = disk.target, .state = state, .image = disk.image});
    }
  }
  return snapshot;
}

}  // namespace vmferry
