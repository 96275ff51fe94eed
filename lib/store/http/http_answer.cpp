// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/http_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "lib/core/printable.h"

namespace vmferry {
namespace {

constexpr size_t kLongestTag = 512;
constexpr size_t kLongestTime = 64;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// Digits only, and all of them.
std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

/// A strong entity tag (RFC 9110, 8.8.3) of plain characters: it is sent back, and written down.
bool is_strong_tag(std::string_view value) {
  return value.size() > 2 && value.size() <= kLongestTag && value.front() == '"' &&
         value.back() == '"' && std::all_of(value.begin() + 1, value.end() - 1, [](char c) {
           return c > ' ' && c != '"' && c <= '~';
         });
}

bool is_time(std::string_view value) {
  return !value.empty() && value.size() <= kLongestTime &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

void contradict(HttpAnswer& answer, std::string_view name, std::string_view value) {
  if (answer.contradiction.empty()) {
    answer.contradiction =
        fmt::format("{}: {}", name, printable(std::string(value.substr(0, kLongestTag))));
  }
}

/// A second line of a name has to say the same.
void set_text(HttpAnswer& answer, std::string& text, std::string_view name,
              std::string_view value) {
  if (!text.empty() && text != value) {
    contradict(answer, name, value);
  }
  text = value;
}

void set_range(HttpAnswer& answer, std::string_view name, std::string_view value) {
  const std::optional<ContentRange> range = parse_content_range(value);
  const bool other = answer.range && range &&
                     (answer.range->part != range->part || answer.range->total != range->total);
  if (!range || other) {
    contradict(answer, name, value);
  }
  answer.range = range;
}

void set_length(HttpAnswer& answer, std::string_view name, std::string_view value) {
  const std::optional<uint64_t> length = number_of(value);
  if (!length || (answer.length && answer.length != length)) {
    contradict(answer, name, value);
  }
  answer.length = length;
}

void read_field(HttpAnswer& answer, std::string_view name, std::string_view value) {
  if (is_same_name(name, "Content-Range")) {
    set_range(answer, name, value);
  } else if (is_same_name(name, "Content-Length")) {
    set_length(answer, name, value);
  } else if (is_same_name(name, "ETag")) {
    if (is_strong_tag(value)) {
      set_text(answer, answer.etag, name, value);
    }
  } else if (is_same_name(name, "Last-Modified")) {
    if (is_time(value)) {
      set_text(answer, answer.last_modified, name, value);
    }
  } else if (is_same_name(name, "Content-Encoding")) {
    if (!is_same_name(value, "identity")) {
      answer.encoding = printable(std::string(value.substr(0, kLongestTime)));
    }
  }
}

/// "HTTP/1.1 206 Partial Content"
int status_in(std::string_view line) {
  const size_t space = line.find(' ');
  const std::optional<uint64_t> number =
      space == std::string_view::npos ? std::nullopt : number_of(line.substr(space + 1, 3));
  return number && *number >= 100 && *number <= 999 ? static_cast<int>(*number) : 0;
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes ";
  if (value.size() < kUnit.size() || !is_same_name(value.substr(0, kUnit.size()), kUnit)) {
    return std::nullopt;
  }
  value = trimmed(value.substr(kUnit.size()));
  const size_t slash = value.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  ContentRange range;
  const std::string_view total = value.substr(slash + 1);
  if (total != "*") {
    range.total = number_of(total);
    if (!range.total) {
      return std::nullopt;
    }
  }
  const std::string_view part = value.substr(0, slash);
  if (part == "*") {
    return range.total ? std::optional(range) : std::nullopt;
  }
  const size_t dash = part.find('-');
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto first = number_of(part.substr(0, dash));
  const auto last = number_of(part.substr(dash + 1));
  if (!first || !last || *first > *last || (range.total && *last >= *range.total)) {
    return std::nullopt;
  }
  range.part = ContentRange::Part{*first, *last};
  return range;
}

void read_head_line(HttpAnswer& answer, std::string_view line) {
  line = trimmed(line);
  if (line.starts_with("HTTP/")) {
    answer = HttpAnswer();
    answer.status = status_in(line);
    return;
  }
  const size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    read_field(answer, line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
}

std::string change_of(const HttpVersion& opened, const HttpAnswer& answer) {
  const auto differs = [](const char* what, const std::string& was, const std::string& is) {
    if (was.empty() || was == is) {
      return std::string();
    }
    return is.empty() ? fmt::format("the answer has no {} any more; it was {}", what, was)
                      : fmt::format("its {} is {} now; it was {}", what, is, was);
  };
  if (answer.range && answer.range->total && *answer.range->total != opened.size) {
    return fmt::format("it has {} bytes now; it had {}", *answer.range->total, opened.size);
  }
  if (std::string tag = differs("ETag", opened.etag, answer.etag); !tag.empty()) {
    return tag;
  }
  // A strong ETag is enough: mirrors of one file have times of their own.
  return opened.etag.empty() ? differs("Last-Modified", opened.last_modified, answer.last_modified)
                             : std::string();
}

std::string fault_of_part(const HttpAnswer& answer, const ContentRange::Part& asked,
                          std::optional<uint64_t> total) {
  if (!answer.contradiction.empty()) {
    return "the answer makes no sense (" + answer.contradiction + ")";
  }
  if (!answer.encoding.empty()) {
    return "the server sends it encoded (" + answer.encoding + ")";
  }
  if (!answer.range || !answer.range->part) {
    return "the answer does not say which part it is (no Content-Range)";
  }
  if (!answer.range->total) {
    return "the server does not say how long it is";
  }
  const ContentRange::Part& got = *answer.range->part;
  const uint64_t end = total.value_or(*answer.range->total);
  const uint64_t last = std::min(asked.last, end - 1);
  if (got.first != asked.first || got.last != last) {
    return fmt::format("asked for bytes {}-{}, the server says that it sends {}-{}", asked.first,
                       last, got.first, got.last);
  }
  const uint64_t length = got.last - got.first + 1;
  if (answer.length && *answer.length != length) {
    return fmt::format("the server says that {} bytes are {}", length, *answer.length);
  }
  return {};
}

}  // namespace vmferry
