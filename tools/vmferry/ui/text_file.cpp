// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/text_file.h"

#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <span>

#include "vmferry/error.h"

namespace vmferry::cli {

void write_text_file(Session& session, const std::string& path, const std::string& text, bool force,
                     const std::vector<Identity>& sources) {
  if (struct stat is = {}; ::stat(path.c_str(), &is) == 0 && !S_ISREG(is.st_mode)) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "write",
                 .cause = "it exists, and it is not a file",
                 .hint = "name a new file"});
  }
  TargetOptions options;
  options.size = text.size();
  options.force = force;
  options.sources = sources;
  options.before_making = [&session] { session.making_something(); };
  const std::unique_ptr<Target> target = open_target(PathLocation{path}, options);
  const auto memory = std::make_shared<const std::string>(text);
  const auto bytes = std::as_bytes(std::span(*memory));
  target->sink().write_at(0, Slice(std::shared_ptr<const std::byte>(memory, bytes.data()), bytes));
  target->sink().flush();
  if (session.stop().stop_requested()) {
    throw cancelled_error();
  }
  target->publish();
}

}  // namespace vmferry::cli
