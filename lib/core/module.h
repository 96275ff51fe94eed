// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "vmferry/error.h"
#include "vmferry/version.h"

namespace vmferry {

// What needs Ceph, libvirt or libguestfs is a module: a shared object that is loaded when it is
// first asked for. Those libraries bring eighty others along, which take 20 ms to load, or 90 ms
// from a disk: more than the copy of a small image. And a program without one of them still works.
//
// A module shows one thing, a table of functions named `vmferry_module`. The static library has all
// of it built in and loads nothing.

/// What every table begins with.
struct ModuleTable {
  const char* version;  ///< kVersion of the build that it belongs to
};

/// Finds the module NAME ("vmferry-rbd") where the program's or library's RUNPATH says, loads it
/// for as long as the process lives, and returns its table. Any thread. Throws Error
/// (kUnsupported): it, or a library that it needs, is not there, or it is of another version.
/// `needs`: what to install.
const ModuleTable& load_module(const std::string& name, const std::string& needs);

/// The same, as the table that it is.
template <typename Table>
const Table& module_table(const std::string& name, const std::string& needs) {
  return static_cast<const Table&>(load_module(name, needs));
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
