// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/copy_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "lib/domain/disk_source.h"
#include "lib/domain/xml_tree.h"
#include "lib/rehearse/copy_elements.h"
#include "lib/rehearse/random_names.h"

namespace vmferry::rehearsal {
namespace {

using tinyxml2::XMLElement;

constexpr const char* kAgentChannel = "org.qemu.guest_agent.0";

class DeviceFilter {
 public:
  DeviceFilter(const Domain& guest, const CopyTraits& traits, CopyDefinition& copy)
      : guest_(guest), traits_(traits), copy_(copy) {}

  void apply(XMLElement& device) {
    const std::string_view name = device.Name();
    const auto rule = std::find_if(std::begin(kRules), std::end(kRules),
                                   [&](const Rule& one) { return name == one.name; });
    if (rule == std::end(kRules)) {
      leave_out(device, label(device), "not known to be harmless");
    } else if (rule->change != nullptr) {
      (this->*rule->change)(device);
    } else if (rule->why != nullptr) {
      leave_out(device, label(device), rule->why);
    }
  }

 private:
  /// With neither, it stays as it is.
  struct Rule {
    const char* name;
    void (DeviceFilter::*change)(XMLElement&) = nullptr;
    const char* why = nullptr;  ///< it is left out
  };
  static const Rule kRules[27];

  static std::string label(const XMLElement& device) {
    const std::string type = attribute(&device, "type");
    return device.Name() + (type.empty() ? "" : " (" + type + ")");
  }

  void tell(const std::string& what, const std::string& why) {
    copy_.left_out.push_back(what + ": " + why);
  }
  void leave_out(XMLElement& device, const std::string& what, const std::string& why) {
    tell(what, why);
    remove_element(device);
  }

  void disk(XMLElement& device) {
    const std::string dev = attribute(child(&device, "target"), "dev");
    const DomainDisk* known = guest_.find_disk(dev);
    if (const auto clone = traits_.disks.find(dev); clone != traits_.disks.end()) {
      if (known != nullptr && known->image.is_rbd()) {
        put_on(device, clone->second);
      }
    } else if (known != nullptr && (known->device == "cdrom" || known->device == "floppy")) {
      eject(device, *known);
    } else {
      const std::string stays = known == nullptr ? "" : known->stays;
      leave_out(device, "disk " + dev, stays.empty() ? "it is in no snapshot" : stays);
    }
  }

  /// Also where it was on RBD already, so that the rewriter of definitions left it alone.
  static void put_on(XMLElement& device, const RbdTarget& clone) {
    remove_elements(device, {"source", "auth", "backingStore", "mirror", "dataStore"});
    fill_source(need_element(device, "source"), clone);
  }

  void eject(XMLElement& device, const DomainDisk& drive) {
    if (drive.image.display() != DiskImage().display()) {
      tell("the medium of " + drive.device + " " + drive.target, "it is the host's");
    }
    device.SetAttribute("type", "file");
    keep_attributes(device, {"type", "device", "model"});
    keep_elements(device, {"target", "readonly", "address", "boot", "alias", "serial"});
  }

  /// A socket on loopback is the one kind of network that every QEMU has, wants no rights and no
  /// other device, and leads nowhere: frames go to a port on which nobody listens. Not even there,
  /// as QEMU drops what a card sends whose link is down.
  void interface(XMLElement& device) {
    if (attribute(&device, "type") == "hostdev") {
      return leave_out(device, label(device), "the card belongs to the guest");
    }
    const std::string old_mac = attribute(child(&device, "mac"), "address");
    tell("the network of " + label(device) + (old_mac.empty() ? "" : " " + old_mac),
         "the card has a new address, and its link is down");
    keep_attributes(device, {});
    device.SetAttribute("type", "udp");
    keep_elements(device, {"model", "address", "alias"});
    if (XMLElement* model = device.FirstChildElement("model")) {
      keep_attributes(*model, {"type"});
    }
    XMLElement& source = set_element(device, "source", "");
    constexpr int kDiscard = 9;
    source.SetAttribute("address", "127.0.0.1");
    source.SetAttribute("port", kDiscard);
    XMLElement& local = set_element(source, "local", "");
    local.SetAttribute("address", "127.0.0.1");
    local.SetAttribute("port", 0);
    set_element(device, "mac", "").SetAttribute("address", random_mac().c_str());
    set_element(device, "link", "").SetAttribute("state", "down");
  }

  /// Files, logs, sockets and ports of consoles are the guest's.
  void console(XMLElement& device) {
    // libvirt shows the first serial device as a console, too.
    const bool is_shown_twice = device.Name() == std::string_view("console") &&
                                attribute(child(&device, "target"), "type") == "serial";
    if (!is_shown_twice &&
        (attribute(&device, "type") != "pty" || child(&device, "log") != nullptr)) {
      tell("what " + label(device) + " leads to", "only vmferry reads what the copy says there");
    }
    become(device, "pty");
    copy_.has_console = true;
  }
  void parallel(XMLElement& device) {
    tell("what " + label(device) + " leads to", "what the copy says there goes nowhere");
    become(device, "null");
  }
  static void become(XMLElement& device, const char* type) {
    keep_attributes(device, {});
    device.SetAttribute("type", type);
    keep_elements(device, {"target", "address", "alias"});
  }

  void channel(XMLElement& device) {
    const XMLElement* target = child(&device, "target");
    const std::string name = attribute(target, "name");
    if (name != kAgentChannel || attribute(target, "type") != "virtio") {
      return leave_out(device, name.empty() ? label(device) : "channel " + name,
                       "it leads to programs of the host");
    }
    become(device, "unix");  // with a path of libvirt's choice
    keep_attributes(*device.FirstChildElement("target"), {"type", "name"});
    copy_.has_agent = true;
  }

  /// Without a display there is no OpenGL; --screenshot needs neither.
  void video(XMLElement& device) {
    keep_elements(device, {"model", "address", "alias"});
    XMLElement* model = device.FirstChildElement("model");
    if (model != nullptr) {
      keep_elements(*model, {"resolution"});
      keep_attributes(*model, {"type", "vram", "vram64", "ram", "vgamem", "heads", "primary"});
    }
    copy_.has_screen = copy_.has_screen || attribute(model, "type") != "none";
  }

  void audio(XMLElement& device) {
    device.SetAttribute("type", "none");
    keep_attributes(device, {"id", "type"});
    device.DeleteChildren();
  }

  void input(XMLElement& device) {
    const std::string type = attribute(&device, "type");
    if (type != "mouse" && type != "tablet" && type != "keyboard") {
      leave_out(device, label(device), "the device belongs to the host");
    }
  }

  void random(XMLElement& device) {
    const std::string model = attribute(child(&device, "backend"), "model");
    if (model != "random" && model != "builtin") {
      leave_out(device, "rng (" + model + ")", "it asks a service of the host");
    }
  }

  void watchdog(XMLElement& device) {
    const std::string action = attribute(&device, "action");
    if (action == "dump" || action == "inject-nmi") {
      device.SetAttribute("action", "none");
    }
  }

  void memory(XMLElement& device) {
    const std::string model = attribute(&device, "model");
    if (traits_.memory || (model != "dimm" && model != "virtio-mem")) {
      leave_out(device, "memory (" + model + ")",
                traits_.memory ? "the copy has the memory that was asked for"
                               : "it is a file or device of the host");
    } else {
      remove_elements(device, {"source"});  // pages and nodes of the host
    }
  }

  const Domain& guest_;
  const CopyTraits& traits_;
  CopyDefinition& copy_;
};

const DeviceFilter::Rule DeviceFilter::kRules[27] = {
    {.name = "emulator"},
    {.name = "controller"},
    {.name = "memballoon"},
    {.name = "panic"},
    {.name = "iommu"},
    {.name = "hub"},
    {.name = "sound"},
    {.name = "nvram"},  // the address of a device of POWER, no file
    {.name = "disk", .change = &DeviceFilter::disk},
    {.name = "interface", .change = &DeviceFilter::interface},
    {.name = "serial", .change = &DeviceFilter::console},
    {.name = "console", .change = &DeviceFilter::console},
    {.name = "parallel", .change = &DeviceFilter::parallel},
    {.name = "channel", .change = &DeviceFilter::channel},
    {.name = "video", .change = &DeviceFilter::video},
    {.name = "audio", .change = &DeviceFilter::audio},
    {.name = "input", .change = &DeviceFilter::input},
    {.name = "rng", .change = &DeviceFilter::random},
    {.name = "watchdog", .change = &DeviceFilter::watchdog},
    {.name = "memory", .change = &DeviceFilter::memory},
    {.name = "graphics", .why = "nobody looks in"},
    {.name = "hostdev", .why = "the device belongs to the guest"},
    {.name = "redirdev", .why = "it leads to another machine"},
    {.name = "filesystem", .why = "it is a directory of the host, which the guest writes to"},
    {.name = "tpm", .why = "its state is the guest's"},
    {.name = "shmem", .why = "it leads to other guests"},
    {.name = "vsock", .why = "it leads to the host"},
};

}  // namespace

void filter_devices(XMLElement& devices, const Domain& guest, const CopyTraits& traits,
                    CopyDefinition& copy) {
  DeviceFilter filter(guest, traits, copy);
  each_element(devices, [&](XMLElement& device) { filter.apply(device); });
}

}  // namespace vmferry::rehearsal
