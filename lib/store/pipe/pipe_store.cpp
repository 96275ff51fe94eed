// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/null_sink.h"
#include "lib/store/pipe/standard_input.h"
#include "lib/store/pipe/standard_output.h"
#include "lib/store/stores.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr const char* kPipe = "-";
constexpr const char* kNull = "null:";
constexpr const char* kNullName = "null";  // in messages, where a colon follows

std::optional<Location> parse_pipe(std::string_view text) {
  return text == kPipe ? std::optional(Location(kPipeStore, kPipe, {})) : std::nullopt;
}

std::optional<Location> parse_null(std::string_view text) {
  return text == kNull ? std::optional(Location(kNullStore, kNullName, {})) : std::nullopt;
}

Error useless(const Location& at, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = at.is_standard_output() ? "standard output" : at.display(),
                .action = "open as a target",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

/// Of a target that has no name, and of which nothing can be read again.
void check_passing(const Location& at, const TargetOptions& options) {
  if (options.verify) {
    throw useless(at, "nothing of it can be read back to verify it",
                  "leave --verify out; --digest tells what was read");
  }
  if (options.resume) {
    throw useless(at, "such a copy cannot be resumed", "leave --resume out");
  }
  if (options.reflink == Reflink::kAlways) {
    throw useless(at, "only a file can share the blocks of another file",
                  "leave out --reflink always");
  }
  if (options.layout != RbdLayout()) {
    throw useless(at,
                  "is not an RBD volume: objects, stripes, pools and features mean nothing to it",
                  "leave those options out");
  }
}

class NullTarget : public Target {
 public:
  explicit NullTarget(uint64_t size) : sink_(size, kNullName) {}
  Sink& sink() override { return sink_; }
  void publish() override {}

 private:
  NullSink sink_;
};

}  // namespace

const Store kPipeStore = {
    .parse = parse_pipe,
    .open = [](const Location&, const NetworkOptions&) -> OpenBytes { throw only_in_order(); },
    .open_stream = [](const Location&) { return open_standard_input(); },
    .check_target = check_passing,
    .create = [](const Location&,
                 const TargetOptions& options) { return open_standard_output(options); },
    .is_standard_output = true,
};

const Store kNullStore = {
    .parse = parse_null,
    .open = [](const Location& at, const NetworkOptions&) -> OpenBytes {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = at.display(),
                   .action = "open",
                   .cause = "it keeps nothing that could be read",
                   .hint = "it can be a target, for measuring"});
    },
    .check_target = check_passing,
    .create = [](const Location&, const TargetOptions& options) -> std::unique_ptr<Target> {
      return std::make_unique<NullTarget>(options.size);
    },
};

}  // namespace vmferry
