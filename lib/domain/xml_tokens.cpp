// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/xml_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/core/utf8.h"
#include "lib/domain/xml_chars.h"

namespace vmferry {
namespace {

// tinyxml2 9 gives up at 100; real definitions nest one level for each image of a backing chain.
constexpr size_t kMaxDepth = 96;
// Elements, attributes, comments. A tree takes about 100 bytes for each; real definitions have some
// hundreds.
constexpr size_t kMaxNodes = 200'000;
constexpr size_t kMaxAttributes = 256;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Names as tinyxml2 has them: every character beyond ASCII is a letter.
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool continues_name(char c) {
  return begins_name(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

}  // namespace

size_t XmlPlaces::line(size_t offset) const {
  const std::string_view before = text_.substr(0, offset);
  return 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
}

Error XmlPlaces::error(ErrorKind kind, size_t offset, std::string cause, std::string hint) const {
  const std::string_view before = text_.substr(0, offset);
  const size_t newline = before.rfind('\n');
  std::string_view in_line = before.substr(newline == std::string_view::npos ? 0 : newline + 1);
  if (in_line.starts_with(kByteOrderMark)) {
    in_line.remove_prefix(kByteOrderMark.size());
  }
  return Error({.kind = kind,
                .object = object_,
                .action = fmt::format("line {}, column {}", line(offset), utf8_count(in_line) + 1),
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

XmlTokens::XmlTokens(const XmlPlaces& places) : places_(places), text_(places.text()) {
  if (text_.starts_with("\xFE\xFF") || text_.starts_with("\xFF\xFE")) {
    throw places_.error(ErrorKind::kUnsupported, 0, "is UTF-16, not UTF-8",
                        "convert it first: iconv -f utf-16 -t utf-8");
  }
  if (const auto bad = first_bad_character(text_)) {
    corrupt(*bad, fmt::format("the byte 0x{:02x} is not a character of XML in UTF-8",
                              static_cast<unsigned char>(text_[*bad])));
  }
  if (text_.starts_with(kByteOrderMark)) {
    at_ = kByteOrderMark.size();
  }
}

void XmlTokens::corrupt(size_t offset, std::string cause) const {
  throw places_.error(ErrorKind::kCorrupt, offset, std::move(cause));
}

bool XmlTokens::next(XmlToken& token) {
  if (at_ == text_.size()) {
    at_end();
    return false;
  }
  token = {.span = {at_, at_}, .name = {}};
  if (text_[at_] == '<') {
    read_markup(token);
  } else {
    at_ = std::min(text_.find('<', at_), text_.size());
    token.kind = XmlTokenKind::kText;
  }
  token.span.end = at_;
  if (token.kind == XmlTokenKind::kText) {
    check_text(token.span);
  }
  return true;
}

void XmlTokens::at_end() const {
  if (!open_.empty()) {
    corrupt(text_.size(), fmt::format("the text ends inside of <{}>", open_.back()));
  }
  if (!root_seen_) {
    corrupt(text_.size(), "there is no XML element");
  }
}

/// Where `what` begins, which has to close the construct that began before `from`.
size_t XmlTokens::find(std::string_view what, size_t from, const char* construct) const {
  const size_t found = text_.find(what, from);
  if (found == std::string_view::npos) {
    corrupt(at_, fmt::format("{} is not closed", construct));
  }
  return found;
}

void XmlTokens::count_node(size_t offset) {
  if (++nodes_ <= kMaxNodes) {
    return;
  }
  throw places_.error(ErrorKind::kUnsupported, offset,
                      fmt::format("more than {} elements and attributes", kMaxNodes));
}

void XmlTokens::check_text(Span span) const {
  const std::string_view text = span.of(text_);
  if (open_.empty()) {
    const auto odd = std::find_if_not(text.begin(), text.end(), is_space);
    if (odd != text.end()) {
      corrupt(span.begin + static_cast<size_t>(odd - text.begin()),
              root_seen_ ? "text after the end of the definition" : "text where XML should begin");
    }
  }
  const size_t stray = text.find("]]>");
  if (stray != std::string_view::npos) {
    corrupt(span.begin + stray, "']]>' outside of CDATA");
  }
  check_references(span);
}

void XmlTokens::check_references(Span span) const {
  const std::string_view text = span.of(text_);
  for (size_t at = text.find('&'); at != std::string_view::npos; at = text.find('&', at + 1)) {
    if (is_reference(text.substr(at))) {
      continue;
    }
    corrupt(span.begin + at, "an '&' that begins no entity; it is written '&amp;'");
  }
}

void XmlTokens::read_markup(XmlToken& token) {
  const std::string_view rest = text_.substr(at_);
  if (rest.starts_with("<!--")) {
    token.kind = XmlTokenKind::kComment;
    const size_t end = find("--", at_ + 4, "the comment");
    if (!text_.substr(end).starts_with("-->")) {
      corrupt(end, "'--' inside of a comment");
    }
    count_node(at_);
    at_ = end + 3;
  } else if (rest.starts_with("<![CDATA[")) {
    token.kind = XmlTokenKind::kCdata;
    if (open_.empty()) {
      corrupt(at_, "text outside of the definition");
    }
    const size_t end = find("]]>", at_ + 9, "the CDATA section");
    count_node(at_);
    at_ = end + 3;
  } else if (rest.starts_with("<!DOCTYPE")) {
    throw places_.error(ErrorKind::kUnsupported, at_, "a document type is not taken",
                        "remove the <!DOCTYPE>; libvirt's definitions have none");
  } else if (rest.starts_with("<?")) {
    read_instruction(token);
  } else if (rest.starts_with("</")) {
    read_end_tag(token);
  } else {
    read_start_tag(token);
  }
}

void XmlTokens::read_instruction(XmlToken& token) {
  token.kind = XmlTokenKind::kInstruction;
  const size_t end = find("?>", at_ + 2, "the '<?'");
  const size_t begin = at_;
  at_ += 2;
  const std::string_view name = take_name().of(text_);
  if (name == "xml") {
    if (begin != 0 && !(begin == kByteOrderMark.size() && text_.starts_with(kByteOrderMark))) {
      corrupt(begin, "an XML declaration that is not the first thing");
    }
    check_declaration({begin, end});
  }
  count_node(begin);
  at_ = end + 2;
}

void XmlTokens::check_declaration(Span span) const {
  const std::string_view text = span.of(text_);
  const size_t at = text.find("encoding");
  if (at == std::string_view::npos) {
    return;
  }
  const size_t open = text.find_first_of("'\"", at);
  if (open == std::string_view::npos) {
    corrupt(span.begin + at, "an encoding without a name");
  }
  const size_t close = text.find(text[open], open + 1);
  if (close == std::string_view::npos) {
    corrupt(span.begin + at, "an encoding without a name");
  }
  std::string encoding(text.substr(open + 1, close - open - 1));
  std::transform(encoding.begin(), encoding.end(), encoding.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (encoding == "UTF-8" || encoding == "UTF8" || encoding == "US-ASCII" || encoding == "ASCII") {
    return;
  }
  throw places_.error(ErrorKind::kUnsupported, span.begin + open + 1,
                      fmt::format("the encoding {}", encoding),
                      fmt::format("convert it first: iconv -f {} -t utf-8", encoding));
}

Span XmlTokens::take_name() {
  const size_t begin = at_;
  if (at_ == text_.size() || !begins_name(text_[at_])) {
    corrupt(begin, "a name is missing; a '<' in a text is written '&lt;'");
  }
  while (at_ < text_.size() && continues_name(text_[at_])) {
    ++at_;
  }
  return {begin, at_};
}

void XmlTokens::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) {
    ++at_;
  }
}

void XmlTokens::read_start_tag(XmlToken& token) {
  const size_t begin = at_++;
  token.name = take_name().of(text_);
  if (open_.empty() && root_seen_) {
    corrupt(begin, "a second XML element after the first");
  }
  count_node(begin);
  std::vector<std::string_view> attributes;
  for (;;) {
    const size_t before = at_;
    skip_space();
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with('>') || rest.starts_with("/>")) {
      break;
    }
    if (rest.empty()) {
      corrupt(begin, fmt::format("the tag <{} is not closed", token.name));
    }
    if (before == at_) {
      corrupt(at_, fmt::format("something odd in the tag <{}", token.name));
    }
    read_attribute(attributes);
  }
  root_seen_ = true;
  const bool empty = text_[at_] == '/';
  token.kind = empty ? XmlTokenKind::kEmptyTag : XmlTokenKind::kStartTag;
  at_ += empty ? 2 : 1;
  if (empty) {
    return;
  }
  if (open_.size() == kMaxDepth) {
    throw places_.error(ErrorKind::kUnsupported, begin,
                        fmt::format("elements nested deeper than {}", kMaxDepth));
  }
  open_.push_back(token.name);
}

void XmlTokens::read_attribute(std::vector<std::string_view>& names) {
  const size_t begin = at_;
  const std::string_view name = take_name().of(text_);
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    corrupt(begin, fmt::format("a second attribute '{}'", name));
  }
  if (names.size() == kMaxAttributes) {
    throw places_.error(ErrorKind::kUnsupported, begin,
                        fmt::format("an element with more than {} attributes", kMaxAttributes));
  }
  names.push_back(name);
  count_node(begin);
  skip_space();
  if (!text_.substr(at_).starts_with('=')) {
    corrupt(begin, fmt::format("the attribute '{}' has no value", name));
  }
  ++at_;
  skip_space();
  const char quote = at_ < text_.size() ? text_[at_] : '\0';
  if (quote != '\'' && quote != '"') {
    corrupt(at_, fmt::format("the value of '{}' is not in quotes", name));
  }
  const Span value = {at_ + 1, find(std::string_view(&quote, 1), at_ + 1, "the attribute's value")};
  const size_t tag = value.of(text_).find('<');
  if (tag != std::string_view::npos) {
    corrupt(value.begin + tag, fmt::format("a '<' in the value of '{}'", name));
  }
  check_references(value);
  at_ = value.end + 1;
}

void XmlTokens::read_end_tag(XmlToken& token) {
  token.kind = XmlTokenKind::kEndTag;
  const size_t begin = at_;
  at_ += 2;
  token.name = take_name().of(text_);
  skip_space();
  if (!text_.substr(at_).starts_with('>')) {
    corrupt(begin, fmt::format("the tag </{} is not closed", token.name));
  }
  ++at_;
  if (open_.empty()) {
    corrupt(begin, fmt::format("</{}> closes nothing", token.name));
  }
  if (open_.back() != token.name) {
    corrupt(begin, fmt::format("<{}> is closed by </{}>", open_.back(), token.name));
  }
  open_.pop_back();
}

}  // namespace vmferry
