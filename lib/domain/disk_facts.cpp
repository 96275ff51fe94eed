// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/disk_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "lib/domain/xml_tree.h"

namespace vmferry {
namespace {

using tinyxml2::XMLElement;

std::string or_else(const std::string& value, const char* otherwise) {
  return value.empty() ? otherwise : value;
}

uint16_t read_port(const std::string& text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() ? port : uint16_t{0};
}

void read_cluster(const XMLElement& source, DiskImage& image) {
  image.ceph_conf = attribute(child(&source, "config"), "file");
  const XMLElement* host = child(&source, "host");
  for (; host; host = host->NextSiblingElement("host")) {
    image.monitors.push_back(
        {.host = attribute(host, "name"), .port = read_port(attribute(host, "port"))});
  }
}

/// The image that a <disk> or <backingStore> of type `type` names in its <source>.
DiskImage read_image(const XMLElement& holder, std::string type) {
  const XMLElement* source = child(&holder, "source");
  DiskImage image{.type = std::move(type)};
  if (image.type == "file") {
    image.path = attribute(source, "file");
  } else if (image.type == "block" || image.type == "vhostvdpa") {
    image.path = attribute(source, "dev");
  } else if (image.type == "dir") {
    image.path = attribute(source, "dir");
  } else if (image.type == "vhostuser") {
    image.path = attribute(source, "path");
  } else if (image.type == "volume") {
    image.pool = attribute(source, "pool");
    image.volume = attribute(source, "volume");
  } else if (image.type == "network") {
    image.protocol = attribute(source, "protocol");
    image.name = attribute(source, "name");
    image.snapshot = attribute(child(source, "snapshot"), "name");
    if (image.is_rbd()) {
      read_cluster(*source, image);
    }
  }
  return image;
}

bool names_something(const DiskImage& image) {
  return !image.path.empty() || !image.volume.empty() || !image.protocol.empty() ||
         image.type == "nvme";
}

/// <encryption> stands in the <disk> or in the <source>.
bool is_encrypted(const XMLElement& holder) {
  return child(&holder, "encryption") || child(child(&holder, "source"), "encryption");
}

void read_chain(const XMLElement& element, DomainDisk& disk) {
  disk.encrypted = is_encrypted(element);
  const XMLElement* store = child(&element, "backingStore");
  for (; store; store = child(store, "backingStore")) {
    // Without a type it is the end of the chain (libvirt's domain format, "backingStore").
    if (!store->Attribute("type") && store->NoChildren()) {
      disk.chain_is_closed = true;
      return;
    }
    DiskImage image = read_image(*store, or_else(attribute(store, "type"), "file"));
    image.format = attribute(child(store, "format"), "type");
    disk.backing.push_back(std::move(image));
    disk.encrypted = disk.encrypted || is_encrypted(*store);
  }
}

std::string reason_of_type(const DiskImage& image) {
  if (image.is_rbd()) {
    return "it is on RBD already";
  }
  if (image.type == "network") {
    return fmt::format("it is on the network already ({})", image.protocol);
  }
  if (image.type == "file" || image.type == "block" || image.type == "volume") {
    return names_something(image) ? "" : "it names no image";
  }
  return fmt::format("it is of type '{}', which holds no image that could be copied", image.type);
}

std::string reason_of_use(const DomainDisk& disk) {
  if (disk.transient) {
    return "it is transient: what the guest writes is dropped when it stops";
  }
  if (disk.shareable) {
    return "it is shared with other machines";
  }
  return {};
}

/// See the table of the disks that libvirt's block jobs and RBD do not take, in docs/design.md.
std::string reason_to_stay(const DomainDisk& disk) {
  if (disk.device == "cdrom") {
    return "it is a cdrom";
  }
  if (disk.device == "floppy") {
    return "it is a floppy";
  }
  if (disk.device == "lun") {
    return "it passes a SCSI LUN through to the guest, which RBD cannot";
  }
  if (disk.device != "disk") {
    return fmt::format("it is a '{}', not a disk", disk.device);
  }
  if (disk.bus == "sd") {
    return "it is an SD card";
  }
  std::string reason = reason_of_type(disk.image);
  return reason.empty() ? reason_of_use(disk) : reason;
}

std::string reason_to_stay_on_rbd(const DomainDisk& disk) {
  const DiskImage& image = disk.image;
  if (!image.is_rbd()) {
    return "it is not on RBD";
  }
  if (disk.device != "disk") {
    return "it is a " + disk.device;
  }
  if (!image.snapshot.empty()) {
    return "it is a snapshot of a volume";
  }
  // With a namespace the name is POOL/NAMESPACE/IMAGE.
  if (std::count(image.name.begin(), image.name.end(), '/') != 1) {
    return "its volume is in a namespace, which a move does not open";
  }
  return reason_of_use(disk);
}

}  // namespace

DomainDisk read_disk(const XMLElement& element) {
  DomainDisk disk;
  disk.target = attribute(child(&element, "target"), "dev");
  disk.bus = attribute(child(&element, "target"), "bus");
  disk.device = or_else(attribute(&element, "device"), "disk");
  disk.image = read_image(element, or_else(attribute(&element, "type"), "file"));
  disk.image.format = attribute(child(&element, "driver"), "type");
  disk.readonly = child(&element, "readonly");
  disk.shareable = child(&element, "shareable");
  disk.transient = child(&element, "transient");
  disk.mirrored = child(&element, "mirror");
  disk.copy_on_read = attribute(child(&element, "driver"), "copy_on_read") == "on";
  read_chain(element, disk);
  disk.stays = reason_to_stay(disk);
  disk.stays_on_rbd = reason_to_stay_on_rbd(disk);
  return disk;
}

std::string DiskImage::display() const {
  if (type == "volume") {
    return fmt::format("storage pool {}, volume {}", pool, volume);
  }
  if (type == "network") {
    return fmt::format("{}:{}{}{}", protocol, name, snapshot.empty() ? "" : "@", snapshot);
  }
  return path.empty() ? "nothing" : path;
}

}  // namespace vmferry
