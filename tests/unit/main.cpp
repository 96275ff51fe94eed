// SPDX-License-Identifier: LGPL-2.1-or-later
// Catch2 3 has its main in a library.
#define CATCH_CONFIG_MAIN
#include "tests/unit/catch.h"
