// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

/// What a namespace of a public header declares is what the shared library shows; all else in it
/// is hidden.
#define VMFERRY_API [[gnu::visibility("default")]]
