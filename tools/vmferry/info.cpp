// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/info.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "tools/vmferry/command.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"

namespace vmferry::cli {
namespace {

struct InfoOptions {
  std::string image;
  SourceOptions from;
  bool with_chain = false;
  bool json = false;
  bool quiet = false;
};

int show_info(Session& session, const InfoOptions& options) {
  SourceOptions from = options.from;
  from.network.stop = session.stop();
  const ImageInfo info = describe(parse_location(options.image), from, session.stop());
  if (!options.quiet) {
    for (const std::string& warning : info.warnings) {
      say_line("vmferry: warning: " + warning);
    }
  }
  print(options.json ? json_text(info_as_json(info, options.with_chain)) + "\n"
                     : info_as_text(info, options.with_chain));
  return 0;
}

}  // namespace

std::string format_date(int64_t seconds) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::function<int(Session&)> add_info(CLI::App& app) {
  auto options = std::make_shared<InfoOptions>();
  app.add_option("IMAGE", options->image,
                 "A raw or qcow2 file, a block device, nbd://..., https://..., or "
                 "rbd:POOL/IMAGE[@SNAPSHOT]")
      ->required();
  add_image_options(app, "the image", options->from);
  add_trust_options(app, options->from);
  app.add_flag("--backing-chain", options->with_chain, "Describe its backing images as well");
  app.add_flag("--json", options->json, "Print one JSON object");
  app.add_flag("-q,--quiet", options->quiet, "Print no warnings");
  add_network_options(app, options->from.network);
  app.footer(
      "Examples:\n"
      "  vmferry info web1.qcow2\n"
      "  vmferry info -f qcow2 --backing-chain --json web1.qcow2\n"
      "  vmferry info rbd:vms/web1\n"
      "\nSee vmferry-info(1).");
  return [options](Session& session) { return show_info(session, *options); };
}

}  // namespace vmferry::cli
