// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_definition.h"

#include <tinyxml2.h>

#include <mutex>
#include <unordered_map>

#include "vmferry/error.h"

namespace vmferry::test {
namespace {

using tinyxml2::XMLDocument;
using tinyxml2::XMLElement;

/// What was made of a text before. Any thread.
template <typename Value>
class Memory {
 public:
  template <typename Make>
  const Value& recall(const std::string& text, Make&& make) {
    const std::lock_guard guard(mutex_);
    const auto found = values_.find(text);
    return found != values_.end() ? found->second : values_.emplace(text, make()).first->second;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, Value> values_;
};

std::string key_of(const Layer& layer) {
  return "\n" + layer.type + "\n" + layer.format + "\n" + layer.source + "\n";
}

void parse(XMLDocument& document, const std::string& text) {
  if (document.Parse(text.c_str(), text.size()) == tinyxml2::XML_SUCCESS) {
    return;
  }
  throw Error({.kind = ErrorKind::kCorrupt,
               .object = "fake libvirt",
               .action = "parse",
               .cause = document.ErrorStr()});
}

std::string print(const XMLDocument& document) {
  tinyxml2::XMLPrinter out;
  document.Print(&out);
  return out.CStr();
}

std::string print(const XMLElement& element) {
  tinyxml2::XMLPrinter out(nullptr, true);
  element.Accept(&out);
  return out.CStr();
}

std::string attribute(const XMLElement* element, const char* name) {
  const char* value = element ? element->Attribute(name) : nullptr;
  return value ? value : "";
}

std::string text_of(const XMLElement* parent, const char* name) {
  const XMLElement* element = parent->FirstChildElement(name);
  return element && element->GetText() ? element->GetText() : "";
}

std::string text_of(const XMLElement* element) { return element ? print(*element) : ""; }

Layer read_layer(const XMLElement& holder, const std::string& format) {
  const XMLElement* source = holder.FirstChildElement("source");
  Layer layer{.type = attribute(&holder, "type"), .format = format};
  if (!source) {
    return layer;
  }
  layer.source = print(*source);
  layer.image = layer.type == "file"    ? attribute(source, "file")
                : layer.type == "block" ? attribute(source, "dev")
                                        : "rbd:" + attribute(source, "name");
  if (const XMLElement* auth = source->FirstChildElement("auth")) {
    const XMLElement* secret = auth->FirstChildElement("secret");
    layer.secret = attribute(secret, "uuid") + attribute(secret, "usage");
  }
  return layer;
}

std::vector<Layer> read_chain(const XMLElement& disk) {
  std::vector<Layer> chain = {
      read_layer(disk, attribute(disk.FirstChildElement("driver"), "type"))};
  if (chain.front().image.empty()) {
    return {};
  }
  const XMLElement* store = disk.FirstChildElement("backingStore");
  for (; store && store->Attribute("type"); store = store->FirstChildElement("backingStore")) {
    chain.push_back(read_layer(*store, attribute(store->FirstChildElement("format"), "type")));
  }
  return chain;
}

XMLElement* find_disk(XMLDocument& document, const std::string& dev) {
  XMLElement* devices = document.RootElement()->FirstChildElement("devices");
  XMLElement* disk = devices ? devices->FirstChildElement("disk") : nullptr;
  for (; disk; disk = disk->NextSiblingElement("disk")) {
    if (attribute(disk->FirstChildElement("target"), "dev") == dev) {
      return disk;
    }
  }
  return nullptr;
}

XMLElement* add_source(XMLElement& holder, const Layer& layer) {
  XMLDocument piece;
  parse(piece, layer.source);
  auto* source = piece.RootElement()->DeepClone(holder.GetDocument())->ToElement();
  holder.InsertEndChild(source);
  return source;
}

void set_image(XMLElement& disk, const Layer& layer) {
  disk.SetAttribute("type", layer.type.c_str());
  disk.FirstChildElement("driver")->SetAttribute("type", layer.format.c_str());
  XMLElement* old = disk.FirstChildElement("source");
  // Where the old one was, so that going back gives the same text.
  XMLElement* fresh = add_source(disk, layer);
  disk.InsertAfterChild(old, fresh);
  disk.DeleteChild(old);
}

void add_chain(XMLElement& holder, const std::vector<Layer>& chain, size_t from) {
  XMLElement* store = holder.InsertNewChildElement("backingStore");
  if (from >= chain.size()) {
    return;
  }
  store->SetAttribute("type", chain[from].type.c_str());
  store->InsertNewChildElement("format")->SetAttribute("type", chain[from].format.c_str());
  add_source(*store, chain[from]);
  add_chain(*store, chain, from + 1);
}

void add_mirror(XMLElement& disk, const Job& job) {
  XMLElement* mirror = disk.InsertNewChildElement("mirror");
  mirror->SetAttribute("job", job.kind == BlockJob::Kind::kCopy ? "copy" : "active-commit");
  mirror->SetAttribute("type", job.goal.front().type.c_str());
  if (job.progress >= kJobTicks) {
    mirror->SetAttribute("ready", "yes");
  }
  add_source(*mirror, job.goal.front());
}

}  // namespace

const DefinedDomain& read_definition(const std::string& text) {
  static Memory<DefinedDomain> memory;
  return memory.recall(text, [&] {
    XMLDocument document;
    parse(document, text);
    const XMLElement* root = document.RootElement();
    DefinedDomain domain{.name = text_of(root, "name"), .uuid = text_of(root, "uuid")};
    const XMLElement* devices = root->FirstChildElement("devices");
    const XMLElement* disk = devices ? devices->FirstChildElement("disk") : nullptr;
    for (; disk; disk = disk->NextSiblingElement("disk")) {
      domain.disks.push_back({.dev = attribute(disk->FirstChildElement("target"), "dev"),
                              .device = attribute(disk, "device"),
                              .readonly = disk->FirstChildElement("readonly") != nullptr,
                              .driver = text_of(disk->FirstChildElement("driver")),
                              .chain = read_chain(*disk)});
    }
    return domain;
  });
}

std::vector<Layer> read_disk_chain(const std::string& disk) {
  XMLDocument document;
  parse(document, disk);
  return read_chain(*document.RootElement());
}

std::map<std::string, Layer> read_snapshot(const std::string& text) {
  XMLDocument document;
  parse(document, text);
  std::map<std::string, Layer> overlays;
  const XMLElement* disks = document.RootElement()->FirstChildElement("disks");
  const XMLElement* disk = disks ? disks->FirstChildElement("disk") : nullptr;
  for (; disk; disk = disk->NextSiblingElement("disk")) {
    if (attribute(disk, "snapshot") == "external") {
      overlays[attribute(disk, "name")] =
          read_layer(*disk, attribute(disk->FirstChildElement("driver"), "type"));
    }
  }
  return overlays;
}

bool lets_discard(const std::string& text, const std::string& dev) {
  for (const DefinedDisk& disk : read_definition(text).disks) {
    if (disk.dev == dev) {
      return disk.driver.find("discard=\"unmap\"") != std::string::npos;
    }
  }
  return false;
}

std::string laid_out(const std::string& text) {
  static Memory<std::string> memory;
  return memory.recall(text, [&] {
    XMLDocument document;
    parse(document, text);
    return print(document);
  });
}

std::string without_disk(std::string text, const std::string& dev) {
  const size_t target = text.find("dev=\"" + dev);
  if (target == std::string::npos) {
    return text;
  }
  const size_t begin = text.rfind("<disk ", target);
  const std::string end = "</disk>";
  return text.erase(begin, text.find(end, target) + end.size() - begin);
}

std::string with_image(const std::string& text, const std::string& dev, const Layer& layer) {
  static Memory<std::string> memory;
  return memory.recall(text + dev + key_of(layer), [&] {
    XMLDocument document;
    parse(document, text);
    if (XMLElement* disk = find_disk(document, dev)) {
      set_image(*disk, layer);
    }
    return print(document);
  });
}

namespace {

std::string draw_runtime(const std::string& text, const std::map<std::string, LiveDisk>& disks) {
  XMLDocument document;
  parse(document, text);
  document.RootElement()->SetAttribute("id", "7");
  for (const auto& [dev, live] : disks) {
    XMLElement* disk = find_disk(document, dev);
    if (!disk) {
      continue;
    }
    while (XMLElement* store = disk->FirstChildElement("backingStore")) {
      disk->DeleteChild(store);
    }
    add_chain(*disk, live.chain, 1);
    if (live.job && live.job->kind != BlockJob::Kind::kCommit) {
      add_mirror(*disk, *live.job);
    }
  }
  return print(document);
}

}  // namespace

std::string with_runtime(const std::string& text, const std::map<std::string, LiveDisk>& disks) {
  static Memory<std::string> memory;
  std::string key = text;
  for (const auto& [dev, live] : disks) {
    key += dev;
    for (const Layer& layer : live.chain) {
      key += key_of(layer);
    }
    if (!live.job || live.job->kind == BlockJob::Kind::kCommit) {
      continue;
    }
    key += live.job->kind == BlockJob::Kind::kCopy ? "copy" : "commit";
    key += live.job->progress >= kJobTicks ? "ready" : "";
    key += key_of(live.job->goal.front());
  }
  return memory.recall(key, [&] { return draw_runtime(text, disks); });
}

Layer layer_of_image(const std::string& image, const std::string& format) {
  XMLDocument document;
  XMLElement* source = document.NewElement("source");
  document.InsertEndChild(source);
  Layer layer{.type = "file", .format = format, .source = {}, .image = image, .secret = {}};
  if (image.starts_with("rbd:")) {
    layer.type = "network";
    source->SetAttribute("protocol", "rbd");
    source->SetAttribute("name", image.c_str() + 4);
  } else {
    if (image.starts_with("/dev/")) {
      layer.type = "block";
    }
    source->SetAttribute(layer.type == "block" ? "dev" : "file", image.c_str());
  }
  layer.source = print(*source);
  return layer;
}

}  // namespace vmferry::test
