// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <signal.h>

namespace vmferry::cli {

/// Makes sure that descriptors 0 to 2 are taken: else the image that is opened next would be
/// standard error, and get our messages. Who reads or writes one that was closed still gets EBADF,
/// so a result that nobody can see is an error as before. Runs by itself before the constructors of
/// libraries where the C library can do that (glibc); main calls it first of all, too.
void occupy_standard_descriptors();

/// What the process inherits and what its libraries expect, brought in order. Call before the first
/// thread.
/// - A closed pipe or a limit on the size of files (SIGPIPE, SIGXFSZ) is an error of the write.
/// - SIGIO, which a file lease of ours may bring, ends nothing. Ended children can be waited for.
/// - What fork() makes here, in whatever library, blocks and ignores no signals because we do.
/// - With a limit on the address space (ulimit -v, prlimit --as) threads get small stacks and share
///   their heaps: eight jobs a processor would reserve gigabytes that nobody uses.
void settle_in();

/// For posix_spawn(), to which the last point does not apply: which signals have their default
/// action in a child. None should be blocked there.
sigset_t default_signals_of_children();

}  // namespace vmferry::cli
