// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/disk_spans.h"

#include <fmt/format.h>

namespace vmferry {
namespace {

// How many elements are open around the children of <domain>, <devices>, <disk>.
constexpr size_t kInDomain = 1;
constexpr size_t kInDevices = 2;
constexpr size_t kInDisk = 3;
// No machine has so many; who works with the list may compare all of them with each other.
constexpr size_t kMaxDisks = 4096;

void require_domain(const XmlPlaces& places, const XmlToken& root) {
  if (root.name == "domain") {
    return;
  }
  const std::string cause = fmt::format("this is a <{}>, not a <domain>", root.name);
  if (root.name == "domstatus" || root.name == "domainsnapshot" ||
      root.name == "domaincheckpoint") {
    throw places.error(ErrorKind::kUnsupported, root.span.begin, cause,
                       "take the definition from libvirt: virsh dumpxml DOMAIN");
  }
  throw places.error(ErrorKind::kCorrupt, root.span.begin, cause,
                     "'virsh dumpxml DOMAIN' prints the definition of a domain");
}

/// Puts the spans together from tokens.
class SpanFinder {
 public:
  explicit SpanFinder(const XmlPlaces& places) : places_(places), tokens_(places) {}

  DomainSpans find() {
    XmlToken token;
    while (tokens_.next(token)) {
      switch (token.kind) {
        case XmlTokenKind::kStartTag:
          opened(token, tokens_.depth() - 1);
          break;
        case XmlTokenKind::kEmptyTag:
          opened(token, tokens_.depth());
          closed(token, tokens_.depth());
          break;
        case XmlTokenKind::kEndTag:
          closed(token, tokens_.depth());
          break;
        case XmlTokenKind::kInstruction:
          spans_.instructions.push_back(token.span);
          break;
        default:
          break;
      }
    }
    return std::move(spans_);
  }

 private:
  /// A tag with `depth` open elements around it.
  void opened(const XmlToken& token, size_t depth) {
    if (depth == 0) {
      require_domain(places_, token);
    }
    if (depth == kInDomain) {
      in_devices_ = token.name == "devices";
    }
    if (depth == kInDevices) {
      in_disk_ = in_devices_ && token.name == "disk";
      if (in_disk_) {
        add_disk(token.span);
      }
    }
    if (depth == kInDisk && in_disk_) {
      spans_.disks.back().children.push_back(token.span);
    }
  }

  void add_disk(Span tag) {
    if (spans_.disks.size() == kMaxDisks) {
      throw places_.error(ErrorKind::kUnsupported, tag.begin,
                          fmt::format("more than {} disks", kMaxDisks));
    }
    spans_.disks.push_back({.whole = tag, .start_tag = tag, .end_tag = {}, .children = {}});
  }

  void closed(const XmlToken& token, size_t depth) {
    if (depth == kInDisk && in_disk_) {
      spans_.disks.back().children.back().end = token.span.end;
    }
    if (depth == kInDevices && in_disk_) {
      spans_.disks.back().whole.end = token.span.end;
      if (token.kind == XmlTokenKind::kEndTag) {
        spans_.disks.back().end_tag = token.span;
      }
      in_disk_ = false;
    }
    if (depth == kInDomain) {
      in_devices_ = false;
    }
  }

  const XmlPlaces& places_;
  XmlTokens tokens_;
  DomainSpans spans_;
  bool in_devices_ = false;
  bool in_disk_ = false;
};

}  // namespace

DomainSpans find_spans(const XmlPlaces& places) { return SpanFinder(places).find(); }

}  // namespace vmferry
