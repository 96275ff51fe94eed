// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/extent.h"
#include "vmferry/source.h"

namespace vmferry {

/// A piece of a text, and the file whose name comes after it.
struct QemuTextPart {
  std::string text;
  std::shared_ptr<const Source> file = nullptr;  ///< null: no name
};

/// Bytes of the guest's disk that lie in a file as they are.
struct PlacedRun {
  uint64_t offset = 0;  ///< of the disk, in bytes
  uint64_t length = 0;
  uint64_t place = 0;  ///< in the file, in bytes
};

/// How QEMU is to read an image: only through files that are open already. No name that an image
/// holds, and none that a user gave, is among it.
struct QemuImage {
  std::string driver;                  ///< QEMU's name for the format
  std::shared_ptr<const Source> file;  ///< or a WindowSource of it
  /// Not empty: QEMU gets this text in place of `file`.
  std::vector<QemuTextPart> descriptor = {};
  std::unique_ptr<QemuImage> backing = nullptr;  ///< null: none, whatever the image says
  /// Of the guest's disk in bytes, as the image says; 0: unknown.
  uint64_t size = 0;
  /// Where its tables say that the disk has bytes: sorted, apart; all else is zero. For a driver
  /// that tells nobody. Nothing: QEMU tells.
  std::optional<std::vector<Extent>> data = {};
  /// What its tables say lies in `file` as it is: sorted, apart, within the file. Once QEMU has
  /// opened the image, that is read without it, which costs less.
  std::vector<PlacedRun> places = {};
  /// What the driver is told besides.
  std::map<std::string, std::string> options = {};
  /// What to do if QEMU refuses it.
  std::string hint = {};
};

}  // namespace vmferry
