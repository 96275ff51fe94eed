// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/guest.h"

// Domain definitions as a libvirt host keeps them: the text that it was given, in which it changes
// the image of a disk, and to which it adds what a running guest has.

namespace vmferry::test {

/// One image of a disk as a definition describes it.
struct Layer {
  std::string type = {};    ///< of the <disk> or <backingStore>: "file", "block", "network"
  std::string format = {};  ///< "raw", "qcow2"
  std::string source = {};  ///< the whole <source> element
  std::string image = {};   ///< the world's name of it: a path, or "rbd:POOL/IMAGE"
  std::string secret = {};  ///< UUID or usage of the libvirt secret; empty: none is needed
};

/// A block job of a running guest.
struct Job {
  BlockJob::Kind kind = BlockJob::Kind::kCopy;
  bool shallow = false;
  std::vector<Layer> goal = {};  ///< what the disk's chain is after the pivot
  unsigned progress = 0;         ///< of kJobTicks
  unsigned ending = 0;           ///< aborted: it ends after so many ticks
  uint64_t bandwidth = 0;
  std::string top = {};  ///< kCommit: the image that goes
};
inline constexpr unsigned kJobTicks = 4;

struct LiveDisk {
  std::vector<Layer> chain;  ///< topmost first
  std::optional<Job> job = {};
  bool discards = false;  ///< what the guest discards is given back
};

/// A <disk> of a definition.
struct DefinedDisk {
  std::string dev;
  std::string device;
  bool readonly = false;
  std::string driver = {};        ///< the whole <driver> element
  std::vector<Layer> chain = {};  ///< what is declared; empty for an empty drive
};

struct DefinedDomain {
  std::string name;
  std::string uuid = {};
  std::vector<DefinedDisk> disks = {};
};

/// Throws vmferry::Error for what is no definition. What was read once is kept, as the next three's
/// answers are: the tests ask for few texts, and again and again.
const DefinedDomain& read_definition(const std::string& text);
/// A <disk> alone, as for virDomainBlockCopy.
std::vector<Layer> read_disk_chain(const std::string& disk);
/// The overlays that a <domainsnapshot> asks for, by target.
std::map<std::string, Layer> read_snapshot(const std::string& text);

/// Does its definition let QEMU give back what the guest discards on that disk?
bool lets_discard(const std::string& text, const std::string& dev);

/// The same text, always laid out in the same way: equal definitions are equal strings.
std::string laid_out(const std::string& text);
/// With another image for the disk.
/// As laid_out() gives it, or with no disk of that name.
std::string without_disk(std::string text, const std::string& dev);
std::string with_image(const std::string& text, const std::string& dev, const Layer& layer);
/// What only a running guest has: an id, the chains, the mirrors of its jobs.
std::string with_runtime(const std::string& text, const std::map<std::string, LiveDisk>& disks);

/// The layer of an image that only another image's header names.
Layer layer_of_image(const std::string& image, const std::string& format);

}  // namespace vmferry::test
