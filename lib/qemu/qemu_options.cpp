// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/qemu/qemu_options.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "lib/core/window_source.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_source.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using nlohmann::json;

class Builder {
 public:
  explicit Builder(int first) : first_(first) {}

  json node(const QemuImage& image) {
    json options = {{"driver", image.driver},
                    {"read-only", true},
                    // Who else has the file open was asked for when it was opened.
                    {"force-share", true},
                    {"file", bytes(image)},
                    {"backing", nullptr}};
    for (const auto& [key, value] : image.options) {
      options[key] = value;
    }
    if (image.backing) {
      options["backing"] = node(*image.backing);
    }
    return options;
  }

  QemuOptions take(const json& options) {
    built_.file_name = "json:" + options.dump();
    return std::move(built_);
  }

 private:
  json bytes(const QemuImage& image) {
    if (!image.descriptor.empty()) {
      return {{"driver", "file"}, {"filename", text(image)}};
    }
    const auto* window = dynamic_cast<const WindowSource*>(image.file.get());
    const Source& source = window == nullptr ? *image.file : window->whole();
    json file = {{"driver", is_device(source) ? "host_device" : "file"},
                 {"filename", name_of(source)}};
    if (window == nullptr) {
      return file;
    }
    return {
        {"driver", "raw"}, {"offset", window->offset()}, {"size", window->size()}, {"file", file}};
  }

  static const FileSource& file_of(const Source& source) {
    if (const auto* file = dynamic_cast<const FileSource*>(&source)) {
      return *file;
    }
    throw Error(
        {.kind = ErrorKind::kUnsupported,
         .object = source.name(),
         .action = "read with QEMU",
         .cause = "an image of this format is read from files and devices of this host only",
         .hint = "copy the image to a file first: vmferry convert -f raw"});
  }

  static bool is_device(const Source& source) {
    return S_ISBLK(stat_fd(file_of(source).fd(), source.name()).st_mode);
  }

  std::string add(int fd, const std::string& name) {
    const auto number = first_ + static_cast<int>(built_.descriptors.size());
    built_.descriptors.push_back(fd);
    built_.names.push_back(name);
    return "/dev/fd/" + std::to_string(number);
  }

  std::string name_of(const Source& source) { return add(file_of(source).fd(), source.name()); }

  std::string text(const QemuImage& image) {
    std::string whole;
    for (const QemuTextPart& part : image.descriptor) {
      whole += part.text;
      if (part.file) {
        whole += name_of(*part.file);
      }
    }
    UniqueFd fd(::memfd_create("vmferry-descriptor", MFD_CLOEXEC));
    if (!fd.valid()) {
      throw errno_error(errno, image.file->name(), "make a file in memory for its descriptor");
    }
    pwrite_all(fd.get(), 0, std::as_bytes(std::span(whole)), image.file->name());
    built_.texts.push_back(std::move(fd));
    return add(built_.texts.back().get(), image.file->name());
  }

  const int first_;
  QemuOptions built_;
};

}  // namespace

QemuOptions qemu_options(const QemuImage& image, int first) {
  Builder builder(first);
  const json options = builder.node(image);
  return builder.take(options);
}

}  // namespace vmferry
