// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "lib/domain/disk_facts.h"
#include "lib/domain/disk_spans.h"
#include "lib/domain/xml_tree.h"
#include "vmferry/domain.h"

namespace vmferry {
namespace {

using tinyxml2::XMLElement;

void require_reasonable_length(const std::string& text, const std::string& object) {
  if (text.size() <= kMaxDefinitionBytes) {
    return;
  }
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = object,
               .action = {},
               .cause = "is longer than 4 MiB, and so no definition that libvirt could have given",
               .hint = "'virsh dumpxml DOMAIN' prints the definition of a domain"});
}

/// Calls `visit` for each child of that name.
template <typename Visit>
void each(const XMLElement* element, const char* name, Visit visit) {
  for (const XMLElement* e = child(element, name); e; e = e->NextSiblingElement(name)) {
    visit(e);
  }
}

void add_file(Domain& domain, std::string what, std::string path) {
  if (!path.empty()) {
    domain.host_files.push_back({std::move(what), std::move(path)});
  }
}

void read_firmware(const XMLElement* os, Domain& domain) {
  const XMLElement* loader = child(os, "loader");
  const XMLElement* nvram = child(os, "nvram");
  add_file(domain, "kernel", text_of(child(os, "kernel")));
  add_file(domain, "initrd", text_of(child(os, "initrd")));
  add_file(domain, "dtb", text_of(child(os, "dtb")));
  add_file(domain, "loader", text_of(loader));
  add_file(domain, "nvram template", attribute(nvram, "template"));
  domain.nvram_path = text_of(nvram);
  if (const XMLElement* source = child(nvram, "source"); source && source->Attribute("file")) {
    domain.nvram_path = attribute(source, "file");
  }
  // libvirt makes the file for firmware in flash at the first start, unless told that it keeps
  // none.
  const bool flash =
      attribute(os, "firmware") == "efi" || attribute(loader, "type") == "pflash" || nvram;
  domain.has_nvram = flash && attribute(loader, "stateless") != "yes";
}

void read_interface(const XMLElement* interface, Domain& domain) {
  const std::string type = attribute(interface, "type");
  const XMLElement* source = child(interface, "source");
  if (type == "network") {
    domain.networks.push_back(attribute(source, "network"));
  }
  if (type == "bridge") {
    domain.bridges.push_back(attribute(source, "bridge"));
  }
  if (type == "hostdev") {
    domain.hostdevs.push_back("pci");
  }
  if (type == "vhostuser") {
    add_file(domain, "vhost-user interface", attribute(source, "path"));
  }
}

void read_filesystem(const XMLElement* filesystem, Domain& domain) {
  add_file(domain, "filesystem", attribute(child(filesystem, "source"), "dir"));
  if (attribute(child(filesystem, "driver"), "type") == "virtiofs") {
    domain.tied_devices.push_back("virtiofs file system " +
                                  attribute(child(filesystem, "target"), "dir"));
  }
}

/// What is passed to QEMU past libvirt, which knows nothing of it.
void read_command_line(const XMLElement* root, Domain& domain) {
  each(root, "qemu:commandline", [&](const XMLElement* line) {
    each(line, "qemu:arg", [&](const XMLElement* e) {
      const std::string value = attribute(e, "value");
      if (value.find('/') != std::string::npos) {
        add_file(domain, "qemu:commandline", value);
      }
    });
  });
}

void read_devices(const XMLElement* devices, Domain& domain) {
  if (domain.emulator.empty()) {
    domain.emulator = text_of(child(devices, "emulator"));
  }
  each(devices, "interface", [&](const XMLElement* e) { read_interface(e, domain); });
  each(devices, "hostdev",
       [&](const XMLElement* e) { domain.hostdevs.push_back(attribute(e, "type")); });
  each(devices, "tpm", [&](const XMLElement*) { domain.has_tpm = true; });
  each(devices, "filesystem", [&](const XMLElement* e) { read_filesystem(e, domain); });
  each(devices, "shmem", [&](const XMLElement* e) {
    if (attribute(e, "role") != "master") {
      domain.tied_devices.push_back("shared memory " + attribute(e, "name"));
    }
  });
  for (const char* character : {"serial", "console", "parallel", "channel"}) {
    each(devices, character, [&](const XMLElement* e) {
      const std::string type = attribute(e, "type");
      // A pty's path is this run's only, and libvirt chooses another at the next.
      if (type == "file" || type == "pipe" || type == "unix" || type == "dev") {
        add_file(domain, character, attribute(child(e, "source"), "path"));
      }
    });
  }
}

void read_domain(const XMLElement* root, Domain& domain) {
  const XMLElement* os = child(root, "os");
  domain.name = text_of(child(root, "name"));
  domain.uuid = text_of(child(root, "uuid"));
  domain.type = attribute(root, "type");
  domain.live = root->Attribute("id");
  read_firmware(os, domain);
  each(root, "devices", [&](const XMLElement* e) { read_devices(e, domain); });
  read_command_line(root, domain);
}

void require_single(const XmlPlaces& places, const DiskSpan& span, const XMLElement& element) {
  for (const char* name : {"source", "target", "driver"}) {
    const XMLElement* first = child(&element, name);
    if (!first || !first->NextSiblingElement(name)) {
      continue;
    }
    throw places.error(ErrorKind::kCorrupt, span.whole.begin,
                       fmt::format("a <disk> with more than one <{}>", name));
  }
}

void read_disks(const XmlPlaces& places, const DomainSpans& spans, Domain& domain) {
  std::map<std::string, size_t> lines;
  size_t line = 1;
  size_t counted = 0;
  for (const DiskSpan& span : spans.disks) {
    tinyxml2::XMLDocument document;
    parse_tree(document, places.text(), span.whole, spans.instructions);
    require_single(places, span, *document.RootElement());
    DomainDisk disk = read_disk(*document.RootElement());
    const std::string_view between = places.text().substr(counted, span.whole.begin - counted);
    line += static_cast<size_t>(std::count(between.begin(), between.end(), '\n'));
    counted = span.whole.begin;
    disk.line = line;
    if (disk.target.empty()) {
      throw places.error(ErrorKind::kCorrupt, span.whole.begin,
                         "a <disk> without <target dev=...>");
    }
    const auto [other, is_new] = lines.emplace(disk.target, disk.line);
    if (!is_new) {
      throw places.error(ErrorKind::kCorrupt, span.whole.begin,
                         fmt::format("the target '{}' is also that of the disk in line {}",
                                     disk.target, other->second));
    }
    domain.disks.push_back(std::move(disk));
  }
}

}  // namespace

Domain parse_domain(std::string text, std::string object) {
  require_reasonable_length(text, object);
  Domain domain;
  domain.object = std::move(object);
  domain.text = std::move(text);
  const XmlPlaces places(domain.text, domain.object);
  DomainSpans spans = find_spans(places);
  {
    tinyxml2::XMLDocument document;
    parse_tree(document, domain.text, {0, domain.text.size()}, spans.instructions);
    read_domain(document.RootElement(), domain);
  }
  read_disks(places, spans, domain);
  DomainSpans::keep(std::move(spans), domain);
  return domain;
}

void DomainSpans::keep(DomainSpans spans, Domain& domain) {
  spans.text = domain.text;
  domain.spans_ = std::make_shared<const DomainSpans>(std::move(spans));
}

const DomainSpans& DomainSpans::of(const Domain& domain) {
  const DomainSpans* spans = domain.spans_.get();
  if (spans && spans->text == domain.text && spans->disks.size() == domain.disks.size()) {
    return *spans;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = domain.object,
               .action = {},
               .cause = "is not what was read: its text or its disks were changed since",
               .hint = "read the changed text with parse_domain()"});
}

std::vector<std::string> Domain::media_paths() const {
  std::vector<std::string> paths;
  for (const DomainDisk& disk : disks) {
    const bool drive = disk.device == "cdrom" || disk.device == "floppy";
    if (drive && !disk.image.path.empty()) {
      paths.push_back(disk.image.path);
    }
  }
  return paths;
}

const DomainDisk* Domain::find_disk(std::string_view target) const {
  for (const DomainDisk& disk : disks) {
    if (disk.target == target) {
      return &disk;
    }
  }
  return nullptr;
}

}  // namespace vmferry
