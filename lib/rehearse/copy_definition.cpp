// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/copy_definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "lib/domain/disk_source.h"
#include "lib/domain/disk_spans.h"
#include "lib/domain/xml_tree.h"
#include "lib/rehearse/copy_devices.h"
#include "lib/rehearse/copy_elements.h"
#include "vmferry/error.h"

namespace vmferry::rehearsal {
namespace {

using tinyxml2::XMLElement;

/// What becomes of an element directly in <domain>; of all others none stays, and that is told.
enum class Fate {
  kStays,
  kGoes,  ///< nobody misses it
  kTold,  ///< it goes, and that is told
};

struct TopRule {
  const char* name;
  Fate fate;
};
constexpr TopRule kTopRules[] = {
    {"memory", Fate::kStays},
    {"currentMemory", Fate::kStays},
    {"maxMemory", Fate::kStays},
    {"vcpu", Fate::kStays},
    {"vcpus", Fate::kStays},
    {"iothreads", Fate::kStays},
    {"iothreadids", Fate::kStays},
    {"defaultiothread", Fate::kStays},
    {"os", Fate::kStays},
    {"features", Fate::kStays},
    {"cpu", Fate::kStays},
    {"clock", Fate::kStays},
    {"pm", Fate::kStays},
    {"sysinfo", Fate::kStays},
    {"genid", Fate::kStays},
    {"keywrap", Fate::kStays},
    {"launchSecurity", Fate::kStays},
    {"on_poweroff", Fate::kStays},
    {"on_reboot", Fate::kStays},
    {"on_crash", Fate::kStays},
    {"devices", Fate::kStays},
    {"name", Fate::kGoes},
    {"uuid", Fate::kGoes},
    {"title", Fate::kGoes},
    {"description", Fate::kGoes},
    {"metadata", Fate::kGoes},
    {"seclabel", Fate::kGoes},
    {"on_lockfailure", Fate::kGoes},
    {"perf", Fate::kGoes},
    // Processors, pages and groups of the host that are set aside for the guest.
    {"cputune", Fate::kTold},
    {"numatune", Fate::kTold},
    {"memtune", Fate::kTold},
    {"blkiotune", Fate::kTold},
    {"memoryBacking", Fate::kTold},
    {"resource", Fate::kTold},
};

Error unfit(const Domain& guest, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUnsupported,
                .object = guest.object,
                .action = "rehearse",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

/// Bytes, of an element as libvirt has them: in KiB unless a unit is named. 0: it makes no sense.
uint64_t bytes_in(const XMLElement* element) {
  struct Unit {
    const char* name;
    uint64_t bytes;
  };
  constexpr uint64_t kKiB = 1024;
  static constexpr Unit kUnits[] = {
      {"", kKiB},
      {"b", 1},
      {"bytes", 1},
      {"KB", 1000},
      {"k", kKiB},
      {"KiB", kKiB},
      {"MB", 1000ull * 1000},
      {"M", kKiB * kKiB},
      {"MiB", kKiB * kKiB},
      {"GB", 1000ull * 1000 * 1000},
      {"G", kKiB * kKiB * kKiB},
      {"GiB", kKiB * kKiB * kKiB},
      {"TB", 1000ull * 1000 * 1000 * 1000},
      {"T", kKiB * kKiB * kKiB * kKiB},
      {"TiB", kKiB * kKiB * kKiB * kKiB},
  };
  const std::string unit = attribute(element, "unit");
  const auto found = std::find_if(std::begin(kUnits), std::end(kUnits),
                                  [&](const Unit& one) { return unit == one.name; });
  uint64_t number = 0;
  if (element == nullptr || found == std::end(kUnits) ||
      element->QueryUnsigned64Text(&number) != tinyxml2::XML_SUCCESS ||
      number > std::numeric_limits<uint64_t>::max() / found->bytes) {
    return 0;
  }
  return number * found->bytes;
}

class DefinitionFilter {
 public:
  DefinitionFilter(const Domain& guest, const CopyTraits& traits, CopyDefinition& copy)
      : guest_(guest), traits_(traits), copy_(copy) {}

  void apply(XMLElement& root) {
    each_element(root, [&](XMLElement& element) { sort_out(element); });
    root.DeleteAttribute("id");
    name(root);
    memory(root);
    firmware(root);
    processors(root);
    if (XMLElement* genid = root.FirstChildElement("genid")) {
      genid->DeleteChildren();  // libvirt makes a new one
    }
    each_element(root, [&](XMLElement& element) { smbios(element); });
    set_element(root, "on_poweroff", "destroy");
    set_element(root, "on_crash", "preserve");  // until it was seen
    each_element(root, [&](XMLElement& element) {
      if (element.Name() == std::string_view("devices")) {
        filter_devices(element, guest_, traits_, copy_);
      }
    });
  }

 private:
  void sort_out(XMLElement& element) {
    const std::string element_name = element.Name();
    const auto rule = std::find_if(std::begin(kTopRules), std::end(kTopRules),
                                   [&](const TopRule& one) { return element_name == one.name; });
    if (rule != std::end(kTopRules) && rule->fate == Fate::kStays) {
      return;
    }
    remove_element(element);
    if (rule == std::end(kTopRules)) {
      copy_.left_out.push_back(element_name + ": not known to be harmless");
    } else if (rule->fate == Fate::kTold) {
      copy_.left_out.push_back(element_name + ": what is set aside on the host is the guest's");
    }
  }

  void name(XMLElement& root) {
    set_element(root, "name", traits_.name);
    set_element(root, "uuid", traits_.uuid);
    set_element(root, "description", "A copy of " + guest_.name + ", which vmferry removes");
  }

  void memory(XMLElement& root) {
    if (traits_.memory) {
      const XMLElement* cells = child(child(&root, "cpu"), "numa");
      if (cells != nullptr) {
        throw unfit(guest_, "its memory is laid out in NUMA cells, so that it cannot be changed",
                    "leave --memory out");
      }
      for (const char* element : {"memory", "currentMemory"}) {
        set_element(root, element, std::to_string(*traits_.memory)).SetAttribute("unit", "b");
      }
      remove_elements(root, {"maxMemory"});
    }
    copy_.memory = bytes_in(root.FirstChildElement("memory"));
  }

  /// Those of the host, and files with the guest's memory, are not the copy's.
  static void processors(XMLElement& root) {
    if (XMLElement* vcpu = root.FirstChildElement("vcpu")) {
      keep_attributes(*vcpu, {"current"});
    }
    XMLElement* cpu = root.FirstChildElement("cpu");
    XMLElement* cells = cpu == nullptr ? nullptr : cpu->FirstChildElement("numa");
    if (cells != nullptr) {
      each_element(*cells, [](XMLElement& cell) {
        cell.DeleteAttribute("memAccess");
        cell.DeleteAttribute("discard");
      });
    }
  }

  void firmware(XMLElement& root) {
    XMLElement* os = root.FirstChildElement("os");
    if (os == nullptr) {
      return;
    }
    keep_elements(*os, {"type", "firmware", "loader", "bios", "kernel", "initrd", "cmdline", "dtb",
                        "acpi", "boot", "bootmenu", "smbios"});
    each_element(*os, [&](XMLElement& element) {
      if (element.Name() == std::string_view("boot") && attribute(&element, "dev") == "network") {
        remove_element(element);
      }
    });
    XMLElement* loader = os->FirstChildElement("loader");
    if (loader != nullptr && loader->Attribute("readonly") != nullptr) {
      loader->SetAttribute("readonly", "yes");
    }
    if (traits_.nvram) {
      XMLElement& nvram = set_element(*os, "nvram", "");
      nvram.SetAttribute("type", "network");
      fill_source(need_element(nvram, "source"), *traits_.nvram);
    }
  }

  /// The UUID that it shows has to be that of the domain.
  void smbios(XMLElement& sysinfo) {
    if (sysinfo.Name() != std::string_view("sysinfo")) {
      return;
    }
    if (attribute(&sysinfo, "type") != "smbios") {
      copy_.left_out.push_back("sysinfo (" + attribute(&sysinfo, "type") +
                               "): it may name files of the host");
      return remove_element(sysinfo);
    }
    each_element(sysinfo, [&](XMLElement& part) {
      each_element(part, [&](XMLElement& entry) {
        if (part.Name() == std::string_view("system") && attribute(&entry, "name") == "uuid") {
          remove_element(entry);
        }
      });
    });
  }

  const Domain& guest_;
  const CopyTraits& traits_;
  CopyDefinition& copy_;
};

/// Its disks on their clones, but those that are on RBD already.
Domain on_clones(const Domain& guest, const CopyTraits& traits) {
  std::vector<DiskMove> moves;
  for (const auto& [dev, clone] : traits.disks) {
    const DomainDisk* disk = guest.find_disk(dev);
    if (disk == nullptr || !disk->image.is_rbd()) {
      moves.push_back({.disk = dev, .to = clone, .driver = {}, .drop_encryption = true});
    }
  }
  return parse_domain(rewrite_disks(guest, moves), guest.object);
}

}  // namespace

CopyDefinition copy_definition(const Domain& guest, const CopyTraits& traits) {
  const Domain moved = on_clones(guest, traits);
  tinyxml2::XMLDocument document;
  parse_tree(document, moved.text, {0, moved.text.size()}, DomainSpans::of(moved).instructions);
  CopyDefinition copy;
  DefinitionFilter(guest, traits, copy).apply(*document.RootElement());
  tinyxml2::XMLPrinter out(nullptr, true);
  document.RootElement()->Accept(&out);
  copy.text = out.CStr();
  return copy;
}

}  // namespace vmferry::rehearsal
