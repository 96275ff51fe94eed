// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <link.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace vmferry::faults {

/// Where the code of the program, of its library, and of libstdc++ lies.
struct Code {
  struct Range {
    uintptr_t from, to;
  };
  std::vector<Range> program, standard_library;
  unsigned long long adds = 0;  // what had been loaded when this was noted

  static int note(struct dl_phdr_info* info, size_t, void* argument) {
    auto* self = static_cast<Code*>(argument);
    self->adds = info->dlpi_adds;
    const std::string_view name = info->dlpi_name;
    const std::string_view base = name.substr(name.rfind('/') + 1);
    const bool is_module = base.starts_with("vmferry-") && base.ends_with(".so");
    const bool is_ours = name.empty() || name.find("/libvmferry.so") != name.npos || is_module;
    const bool is_standard = name.find("/libstdc++.so") != name.npos;
    // The kernel's own object has no name either, but the program is the first.
    if (name.empty() && !self->program.empty()) {
      return 0;
    }
    for (int i = 0; (is_ours || is_standard) && i < info->dlpi_phnum; ++i) {
      const ElfW(Phdr)& part = info->dlpi_phdr[i];
      if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) {
        continue;
      }
      const uintptr_t from = info->dlpi_addr + part.p_vaddr;
      (is_ours ? self->program : self->standard_library).push_back({from, from + part.p_memsz});
    }
    return 0;
  }

  /// Of all that is loaded now: the program loads its modules when it needs them.
  static Code now() {
    Code code;
    dl_iterate_phdr(note, &code);
    return code;
  }

  bool is_old() const {
    const auto compare = [](struct dl_phdr_info* info, size_t, void* argument) {
      return static_cast<const Code*>(argument)->adds == info->dlpi_adds ? 1 : 2;
    };
    return dl_iterate_phdr(compare, const_cast<Code*>(this)) == 2;
  }

  static bool holds(const std::vector<Range>& ranges, const void* place) {
    const auto at = reinterpret_cast<uintptr_t>(place);
    for (const Range& range : ranges) {
      if (at >= range.from && at < range.to) {
        return true;
      }
    }
    return false;
  }
};

}  // namespace vmferry::faults
