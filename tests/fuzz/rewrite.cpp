// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Any bytes as a domain definition: refused with an Error, or rewritten as the properties demand.
// The samples in xml/ are the corpus to begin with.
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "tests/unit/domain_properties.h"
#include "vmferry/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vmferry;
  try {
    const Domain domain =
        parse_domain(std::string(reinterpret_cast<const char*>(data), size), "input");
    const std::string broken = test::broken_property(domain, test::all_to_rbd(domain));
    if (!broken.empty()) {
      std::cerr << "broken: " << broken << '\n';
      std::abort();
    }
  } catch (const Error&) {
    // A definition may be bad.
  }
  return 0;
}
