// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/schema_check.h"

#include <fmt/format.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>
#include <unistd.h>

#include <memory>

#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

// Where libvirt's packages install it on every distribution of note; and libvirt built by hand.
constexpr const char* kSchemas[] = {"/usr/share/libvirt/schemas/domain.rng",
                                    "/usr/local/share/libvirt/schemas/domain.rng"};

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
template <typename T, auto Free>
using Handle = std::unique_ptr<T, Deleter<Free>>;

const char* find_schema() {
  for (const char* path : kSchemas) {
    if (::access(path, R_OK) == 0) {
      return path;
    }
  }
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = kSchemas[0],
               .action = "check",
               .cause = "libvirt's schema is not installed",
               .hint = "it comes with libvirt (Debian: apt install libvirt0)"});
}

using Message = std::conditional_t<(LIBXML_VERSION >= 21200), const xmlError*, xmlError*>;

void collect(void* complaints, Message error) {
  auto& text = *static_cast<std::string*>(complaints);
  std::string_view message = error->message ? error->message : "something is wrong";
  while (message.ends_with('\n')) {
    message.remove_suffix(1);
  }
  if (!text.empty()) {
    text += "; ";
  }
  text += error->line > 0 ? fmt::format("line {}: {}", error->line, message) : std::string(message);
}

}  // namespace

std::string schema_complaints(const std::string& text) {
  std::string complaints;
  const char* path = find_schema();
  const Handle<xmlRelaxNGParserCtxt, xmlRelaxNGFreeParserCtxt> parser(
      xmlRelaxNGNewParserCtxt(path));
  const Handle<xmlRelaxNG, xmlRelaxNGFree> schema(xmlRelaxNGParse(parser.get()));
  if (!schema) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = path,
                 .action = "check",
                 .cause = "libxml2 does not understand this schema"});
  }
  const Handle<xmlDoc, xmlFreeDoc> document(
      xmlReadMemory(text.data(), static_cast<int>(text.size()), nullptr, nullptr,
                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING));
  if (!document) {
    return "libxml2 cannot read it";
  }
  const Handle<xmlRelaxNGValidCtxt, xmlRelaxNGFreeValidCtxt> context(
      xmlRelaxNGNewValidCtxt(schema.get()));
  xmlRelaxNGSetValidStructuredErrors(context.get(), collect, &complaints);
  const int result = xmlRelaxNGValidateDoc(context.get(), document.get());
  if (result != 0 && complaints.empty()) {
    complaints = "it does not follow the schema";
  }
  return complaints;
}

}  // namespace vmferry::cli
