// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/html.h"

#include <fmt/format.h>

#include "lib/core/printable.h"
#include "lib/core/utc_time.h"

namespace vmferry::cli {
namespace {

// Colours go with words everywhere: a page on paper may be grey.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h1, td, .tiles { overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; padding: 0; }
.tiles div { border: 1px solid #8888; border-radius: .4rem; padding: .4rem .9rem; }
.tiles b { display: block; font-size: 1.3rem; }
.bar { border: 1px solid #8888; height: 1rem; border-radius: .3rem; overflow: hidden; }
.bar div { background: #2a7; height: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; min-width: 5rem; }
td:nth-child(-n+2) { min-width: 8rem; } td.w { min-width: 14rem; }
th.n, td.n { text-align: right; } td.n, td.t { white-space: nowrap; }
td.code { font: 12px/1.45 monospace; min-width: 9rem; }
.failed { color: #c22; font-weight: 600; }
svg { width: 100%; min-width: 50rem; height: auto; display: block; }
svg text { font-size: 11px; fill: currentColor; } svg path { stroke: #8884; }
.key { margin: 0 0 .5rem; } .key i { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; }
.key i:first-child { margin-left: 0; }
.sdone { fill: #2a7; } .srunning { fill: #37c; } .sfailed { fill: #c22; } .sother { fill: #999; }
.kdone { background: #2a7; } .krunning { background: #37c; } .kfailed { background: #c22; } .kother { background: #999; }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 11px; } tr { break-inside: avoid; }
  .scroll { overflow: visible; } svg { min-width: 0; } th, td, td.w { padding: .2rem .3rem; min-width: 3rem; }
  td:nth-child(-n+2) { min-width: 6rem; }
  .bar div, .key i, rect { print-color-adjust: exact; }
}
)";

}  // namespace

std::string html_page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
      "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      html(title), kStyle, body);
}

std::string markup_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string html(std::string_view text) { return markup_escaped(printable(text)); }

std::string html_time(int64_t seconds) {
  return seconds == 0 ? "" : utc_time({.tv_sec = seconds, .tv_nsec = 0}).substr(0, 16);
}

std::string html_tile(const std::string& name, const std::string& value) {
  return fmt::format("<div><b>{}</b>{}</div>\n", html(value), html(name));
}

std::string html_cell(const std::string& text) { return "<td>" + html(text) + "</td>"; }
std::string html_words(const std::string& text) { return "<td class=w>" + html(text) + "</td>"; }
std::string html_moment(int64_t time) { return "<td class=t>" + html_time(time) + "</td>"; }
std::string html_number(const std::string& text) { return "<td class=n>" + html(text) + "</td>"; }

}  // namespace vmferry::cli
