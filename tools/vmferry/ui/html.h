// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Pieces of pages that load nothing and have no scripts. What is given as text shows as it is,
// whatever it holds. Any thread.

namespace vmferry::cli {

/// A whole page; `body` is HTML.
std::string html_page(const std::string& title, const std::string& body);
/// What means something in HTML and XML, written so that it does not.
std::string markup_escaped(std::string_view text);
/// Text as HTML, with what is not printable replaced.
std::string html(std::string_view text);
/// Seconds since 1970, in UTC to the minute; 0 is nothing.
std::string html_time(int64_t seconds);
/// A figure with its name.
std::string html_tile(const std::string& name, const std::string& value);
/// Cells of a table: of text, of long text, of a time as html_time() has it, and of figures, which
/// go to the right.
std::string html_cell(const std::string& text);
std::string html_words(const std::string& text);
std::string html_moment(int64_t time);
std::string html_number(const std::string& text);

}  // namespace vmferry::cli
