// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <map>
#include <memory>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/history.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/map_list.h"
#include "tools/vmferry/ui/map_picture.h"
#include "tools/vmferry/ui/map_summary.h"
#include "tools/vmferry/ui/map_svg.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/inspect.h"
#include "vmferry/open.h"

namespace vmferry::cli {
namespace {

enum class View { kAuto, kTable, kPicture };

struct MapOptions {
  std::string image;
  SourceOptions from;
  View view = View::kAuto;
  std::string svg;
  bool force = false;
  bool json = false;
  bool quiet = false;
  std::string since;  ///< the name of a snapshot; empty: all is shown
};

std::string subtitle_of(const OpenImage& image, const MapSummary& summary) {
  const MapTotals& totals = summary.totals;
  std::string text =
      fmt::format("{}, {}, {} of data ({})", image.format.name(), about_bytes(summary.disk_size),
                  about_bytes(totals.data), percent(totals.data, summary.disk_size));
  if (totals.compressed > 0) {
    text += fmt::format(", {} of it compressed", about_bytes(totals.compressed));
  }
  if (totals.zero > 0) {
    text += fmt::format(", {} of zeros kept", about_bytes(totals.zero));
  }
  return text + fmt::format(", {} extents", totals.extents);
}

void draw_to_file(Session& session, const MapOptions& options, const OpenImage& image) {
  const Contents contents = inspect(*image.guest);
  const MapSummary summary = summarize(*image.guest, contents, kSvgCells, session.stop());
  const SvgText text = {printable(image.guest->name()), subtitle_of(image, summary)};
  write_text_file(session, options.svg, draw_svg(summary, contents, text), options.force,
                  image.opened);
}

void print_picture(Session& session, const OpenImage& image, Output& out) {
  const PictureStyle style = style_of_terminal();
  const Contents contents = inspect(*image.guest);
  const MapSummary summary = summarize(*image.guest, contents, cells_of(style), session.stop());
  out.put(draw_picture(summary, printable(image.guest->name()) + ": " + subtitle_of(image, summary),
                       style));
  out.flush();
}

/// Leaves in `image` what has changed since that snapshot; what is answered has to live as long.
std::unique_ptr<Source> show_changes(OpenImage& image, const std::string& since) {
  if (since.empty()) {
    return nullptr;
  }
  const size_t point = choose_point(*image.guest, since);
  const auto& history = dynamic_cast<const History&>(*image.guest);
  std::unique_ptr<Changes> changes = history.changes(point, history.points().size());
  std::unique_ptr<Source> whole = std::move(image.guest);
  image.guest = changed_since(*whole, std::move(changes));
  return whole;
}

int map_image(Session& session, const MapOptions& options) {
  SourceOptions from = options.from;
  from.network.stop = session.stop();
  OpenImage image = open_image(parse_location(options.image), from);
  print_warnings(image, options.quiet);
  const std::unique_ptr<Source> whole = show_changes(image, options.since);
  Output out;
  if (!options.svg.empty()) {
    draw_to_file(session, options, image);
  }
  if (options.json) {
    print_map_json(*image.guest, out, session.stop());
  } else if (options.view == View::kPicture ||
             (options.view == View::kAuto && options.svg.empty() && is_terminal())) {
    print_picture(session, image, out);
  } else if (options.view == View::kTable || options.svg.empty()) {
    print_map_table(*image.guest, out, session.stop());
  }
  return 0;
}

}  // namespace

std::function<int(Session&)> add_map(CLI::App& app) {
  static const std::map<std::string, View> kViews = {
      {"auto", View::kAuto}, {"table", View::kTable}, {"picture", View::kPicture}};
  auto options = std::make_shared<MapOptions>();
  app.add_option("IMAGE", options->image,
                 "A raw or qcow2 file, a block device, nbd://..., https://..., or "
                 "rbd:POOL/IMAGE[@SNAPSHOT]")
      ->required();
  add_image_options(app, "the image", options->from);
  add_trust_options(app, options->from);
  app.add_option_function<std::string>(
         "--view", [view = options](const std::string& name) { view->view = kViews.at(name); },
         "table, picture, or auto: a picture on a terminal, a table elsewhere (default: auto)")
      ->type_name("VIEW")
      ->check(CLI::IsMember({"auto", "table", "picture"}));
  CLI::Option* svg = app.add_option("--svg", options->svg, "Draw the picture into FILE, as SVG")
                         ->type_name("FILE");
  app.add_option("--since", options->since,
                 "Show only what has changed since this snapshot of the image or volume")
      ->type_name("SNAPSHOT")
      ->check(refuse_empty_name);
  app.add_flag("--force", options->force, "Replace FILE if it exists")->needs(svg);
  app.add_flag("--json", options->json, "Print what 'qemu-img map --output=json' prints");
  app.add_flag("-q,--quiet", options->quiet, "Print no warnings");
  add_network_options(app, options->from.network);
  app.footer(
      "Examples:\n"
      "  vmferry map web1.raw\n"
      "  vmferry map --svg web1.svg rbd:vms/web1\n"
      "  vmferry map -f qcow2 --json web1.qcow2\n"
      "\nSee vmferry-map(1).");
  return [options](Session& session) { return map_image(session, *options); };
}

}  // namespace vmferry::cli
