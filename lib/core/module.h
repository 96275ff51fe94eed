// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <string>

#include "vmferry/error.h"
#include "vmferry/version.h"

namespace vmferry {

// What needs Ceph, libcurl, libvirt, libguestfs, libarchive or libnbd is a module: a shared object
// that is loaded when it is first asked for. Those libraries bring eighty others along, which take
// 20 ms to load, or 90 ms from a disk: more than the copy of a small image. And a program without
// one of them still works.
//
// A module shows one thing, a table of functions named `vmferry_module`. The static library has all
// of it built in and loads nothing.

/// What every table begins with. Between two releases builds have one version: the size tells most
/// that do not fit.
struct ModuleTable {
  const char* version;  ///< kVersion of the build that it belongs to
  size_t size;          ///< of the whole table (bytes)
};

/// Finds the module NAME ("vmferry-rbd") by where this code is, loads it for as long as the process
/// lives, and returns its table of `size` bytes. Any thread. Throws Error (kUnsupported): it, or a
/// library that it needs, is not there or lacks a function, or it is of another build. `needs`:
/// what to install.
const ModuleTable& load_module(const std::string& name, size_t size, const std::string& needs);

/// The same, as the table that it is.
template <typename Table>
const Table& module_table(const char* name, const char* needs) {
  return static_cast<const Table&>(load_module(name, sizeof(Table), needs));
}

/// The answer of `ask`, a function of the table; without the module, nothing.
template <typename Table>
std::string module_version(const Table& (*load)(), std::string (*Table::*ask)()) {
  try {
    return (load().*ask)();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace vmferry
