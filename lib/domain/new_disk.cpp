// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/new_disk.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/domain/disk_source.h"
#include "lib/domain/disk_text.h"
#include "lib/domain/targets.h"
#include "lib/domain/xml_tree.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using tinyxml2::XMLElement;

/// The order in which libvirt prints what it knows of a <driver> (virDomainDiskDefFormatDriver).
constexpr std::string_view kDriverOrder[] = {
    "name",      "type",       "cache",        "error_policy", "rerror_policy", "io",
    "ioeventfd", "event_idx",  "copy_on_read", "discard",      "iothread",      "detect_zeroes",
    "queues",    "queue_size", "iommu",        "ats",          "packed",        "page_per_vq"};

size_t rank_of(std::string_view name) {
  return static_cast<size_t>(std::find(std::begin(kDriverOrder), std::end(kDriverOrder), name) -
                             std::begin(kDriverOrder));
}

/// Where libvirt would print it, so that what it makes of the definition reads the same.
void set_in_order(XMLElement& driver, const char* name, const std::string& value) {
  const bool there = driver.Attribute(name);
  driver.SetAttribute(name, value.c_str());
  if (there) {
    return;
  }
  std::vector<std::pair<std::string, std::string>> after;
  for (const auto* a = driver.FirstAttribute(); a; a = a->Next()) {
    if (rank_of(a->Name()) > rank_of(name)) {
      after.emplace_back(a->Name(), a->Value());
    }
  }
  for (const auto& [other, kept] : after) {
    driver.DeleteAttribute(other.c_str());
    driver.SetAttribute(other.c_str(), kept.c_str());
  }
}

void set(XMLElement& driver, const char* name, const std::optional<std::string>& value) {
  if (!value) {
    return;
  }
  if (value->empty()) {
    driver.DeleteAttribute(name);
  } else {
    set_in_order(driver, name, *value);
  }
}

/// libvirt refuses io='native' where the page cache is used (qemuValidateDomainDeviceDefDisk...).
void require_possible_io(const Domain& domain, const XMLElement& driver, const DiskMove& move) {
  const std::string cache = attribute(&driver, "cache");
  if (attribute(&driver, "io") != "native" || cache == "none" || cache == "directsync") {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = domain.object,
               .action = move.disk,
               .cause = "io='native' needs cache='none' or cache='directsync'",
               .hint = "give --cache none as well, or leave --io out"});
}

// QEMU's rbd driver has no choice of `io` (libvirt's qemu_block.c passes it to files only), and
// "native" beside the wrong cache would make libvirt refuse the definition.
bool takes_io(const RbdTarget& /*target*/) { return false; }

bool takes_io(const FileTarget& /*target*/) { return true; }

void edit_driver(const Domain& domain, XMLElement& driver, const DiskMove& move) {
  set_in_order(driver, "name", "qemu");
  set_in_order(driver, "type", image_format(move.to));
  // They are about images with layers, and formats that keep metadata.
  driver.DeleteAttribute("copy_on_read");
  driver.DeleteAttribute("discard_no_unref");
  if (XMLElement* cache = driver.FirstChildElement("metadata_cache")) {
    driver.DeleteChild(cache);
  }
  if (!std::visit([](const auto& target) { return takes_io(target); }, move.to)) {
    driver.DeleteAttribute("io");
  }
  if (!driver.Attribute("discard")) {
    set_in_order(driver, "discard", "unmap");
  }
  set(driver, "cache", move.driver.cache);
  set(driver, "io", move.driver.io);
  set(driver, "discard", move.driver.discard);
  set(driver, "detect_zeroes", move.driver.detect_zeroes);
  require_possible_io(domain, driver, move);
}

/// What was true of the old image only, or of this run of the guest only. A backing chain that were
/// left would be believed: libvirt takes one even for raw volumes.
bool is_gone(const XMLElement& element) {
  const std::string_view name = element.Name();
  if (name == "backingStore") {
    return !element.NoChildren() || element.FirstAttribute();
  }
  // libvirt reads only the aliases that users may give.
  if (name == "alias") {
    return !attribute(&element, "name").starts_with("ua-");
  }
  return name == "auth" || name == "encryption" || name == "mirror" || name == "privateData";
}

}  // namespace

std::string new_disk(const Domain& domain, const DomainSpans& spans, const DiskSpan& span,
                     const DiskMove& move) {
  tinyxml2::XMLDocument document;
  parse_tree(document, domain.text, span.whole, spans.instructions);
  XMLElement& disk = *document.RootElement();
  const TextStyle style = style_of(domain.text, span);
  DiskText text(domain.text, span);

  disk.SetAttribute("type", disk_type(move.to));
  disk.DeleteAttribute("rawio");  // these two are about SCSI commands passed through
  disk.DeleteAttribute("sgio");
  text.set_start_tag(print_tag(disk, style) + ">");

  XMLElement* driver = disk.FirstChildElement("driver");
  const bool had_driver = driver;
  if (!driver) {
    driver = document.NewElement("driver");
  }
  edit_driver(domain, *driver, move);
  XMLElement* source = document.NewElement("source");
  fill_source(*source, move.to);

  size_t index = 0;
  for (XMLElement* e = disk.FirstChildElement(); e; e = e->NextSiblingElement(), ++index) {
    const std::string_view name = e->Name();
    if (name == "driver") {
      text.replace(index, print_child(*e, style));
    }
    if (name == "source") {
      const std::string before = had_driver ? "" : print_child(*driver, style) + style.line;
      text.replace(index, before + print_child(*source, style));
    }
    if (is_gone(*e)) {
      text.remove(index);
    }
  }
  return text.str();
}

}  // namespace vmferry
