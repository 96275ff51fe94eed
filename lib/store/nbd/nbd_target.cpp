// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "lib/core/format_bytes.h"
#include "lib/store/nbd/nbd_export.h"
#include "lib/store/nbd/nbd_source.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// An export as it is, written in place like a device.
class NbdTarget : public Target, private Sink {
 public:
  NbdTarget(const NbdAddress& address, const TargetOptions& options)
      : export_(std::make_shared<NbdExport>(address, nbd_options(options.network))),
        size_(options.size),
        notice_(options.notice) {
    refuse_unfit(options);
    is_zero_ = export_->reads_as_zero(0, options.grows ? export_->facts().size : size_);
    if (options.before_making) {
      options.before_making();
    }
  }

  Sink& sink() override { return *this; }
  void publish() override {
    if (!flushed_) {
      throw std::logic_error("publish before flush");
    }
  }

 private:
  Error refused(ErrorKind kind, std::string cause, std::string hint) const {
    return Error({.kind = kind,
                  .object = export_->name(),
                  .action = "open as a target",
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  }

  void refuse_unfit(const TargetOptions& options) const {
    const NbdFacts& facts = export_->facts();
    if (std::find(options.sources.begin(), options.sources.end(), export_->identity()) !=
        options.sources.end()) {
      throw refused(ErrorKind::kConflict, "it is the source, or the source is backed by it",
                    "choose another target");
    }
    if (facts.read_only) {
      throw refused(ErrorKind::kConflict, "the server lets nobody write to this export",
                    "start the server without its option for reading only");
    }
    if (facts.size < size_) {
      throw refused(
          ErrorKind::kConflict,
          "the export has " + exact_bytes(facts.size) + ", the image needs " + exact_bytes(size_),
          kLargerExport);
    }
  }

  const std::string& name() const override { return export_->name(); }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = 1 << 20, .zero_granularity = 65536, .starts_zeroed = is_zero_};
  }
  std::chrono::milliseconds silent_for() const override { return export_->silent_for(); }

  void write_at(uint64_t offset, Slice data) override { export_->write(offset, data.bytes()); }
  void zero_range(uint64_t offset, uint64_t length) override { export_->zero(offset, length); }

  void grow(uint64_t size) override {
    const uint64_t room = export_->facts().size;
    if (size > room) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = name(),
                   .action = "write",
                   .offset = room,
                   .cause = "the export ends here, and the image goes on",
                   .hint = kLargerExport});
    }
  }
  void set_size(uint64_t size) override { size_ = size; }

  void flush() override {
    if (!export_->flush() && notice_) {
      notice_(name() +
              ": the server has no way to flush: whether it has stored what was written, it alone "
              "knows");
    }
    flushed_ = true;
  }

  std::unique_ptr<Source> read_back() override { return read_nbd_export(export_, size_); }

  static constexpr const char* kLargerExport = "choose an export that is at least as large";

  const std::shared_ptr<NbdExport> export_;
  uint64_t size_;
  const std::function<void(const std::string&)> notice_;
  bool is_zero_ = false;
  bool flushed_ = false;
};

}  // namespace

std::unique_ptr<Target> open_nbd_target(const NbdAddress& address, const TargetOptions& options) {
  return std::make_unique<NbdTarget>(address, options);
}

}  // namespace vmferry
