// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/checked_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/core/unique_fd.h"
#include "lib/core/zeros.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_source.h"
#include "vmferry/error.h"
#include "vmferry/observer.h"

namespace vmferry {
namespace {

constexpr uint64_t kStep = 1 << 20;
constexpr uint64_t kAhead = 8 << 20;
constexpr uint64_t kHole = 64 << 10;  // zeros of that length take no room

struct FreeDigestContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

class Hasher {
 public:
  Hasher(const std::string& name, const std::string& algorithm)
      : name_(name), context_(EVP_MD_CTX_new()) {
    check(context_ != nullptr &&
          EVP_DigestInit_ex(context_.get(), EVP_get_digestbyname(algorithm.c_str()), nullptr) == 1);
  }
  void add(std::span<const std::byte> bytes) {
    check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::string digits() {
    std::vector<unsigned char> sum(EVP_MAX_MD_SIZE);
    unsigned length = 0;
    check(EVP_DigestFinal_ex(context_.get(), sum.data(), &length) == 1);
    std::string text;
    for (unsigned i = 0; i < length; ++i) {
      text += fmt::format("{:02x}", sum[i]);
    }
    return text;
  }

 private:
  void check(bool done) const {
    if (!done) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = name_,
                   .action = "compute its checksum",
                   .cause = "OpenSSL does not offer that"});
    }
  }

  const std::string& name_;
  const std::unique_ptr<EVP_MD_CTX, FreeDigestContext> context_;
};

/// The file without a name that what is read is kept in.
class KeptFile {
 public:
  KeptFile(const std::string& wanted, uint64_t size) : directory_(directory_of(wanted)) {
    check_room(size);
    fd_ = UniqueFd(::open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!fd_.valid() && (errno == EOPNOTSUPP || errno == EISDIR)) {
      std::string name = directory_ + "/vmferry-XXXXXX";
      fd_ = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
      if (fd_.valid()) {
        ::unlink(name.c_str());
      }
    }
    if (!fd_.valid() || ::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      throw errno_error(errno, directory_, "make a temporary file");
    }
  }

  void write(uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min<size_t>(bytes.size(), kHole));
      if (!is_zero(piece)) {
        pwrite_all(fd_.get(), offset, piece, directory_);
      }
      offset += piece.size();
      bytes = bytes.subspan(piece.size());
    }
  }

  UniqueFd take() { return std::move(fd_); }

 private:
  static std::string directory_of(const std::string& wanted) {
    if (!wanted.empty()) {
      return wanted;
    }
    const char* from_environment = std::getenv("TMPDIR");
    return from_environment != nullptr && *from_environment != 0 ? from_environment : "/var/tmp";
  }

  void check_room(uint64_t size) const {
    struct statvfs status;
    if (::statvfs(directory_.c_str(), &status) != 0) {
      throw errno_error(errno, directory_, "ask for its free space");
    }
    const uint64_t room = static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
    if (room < size) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = directory_,
                   .action = "look for room for the file to check",
                   .cause = fmt::format("it has {}, and there are {}", about_bytes(size),
                                        about_bytes(room)),
                   .hint = "name a directory with more room with --tmp"});
    }
  }

  const std::string directory_;
  UniqueFd fd_;
};

/// What was kept: nobody else can change it.
class KeptSource : public Source {
 public:
  KeptSource(UniqueFd fd, const std::string& name, const FileChecksum& sum)
      : file_(std::move(fd), name), sum_(sum) {}

  const std::string& name() const override { return file_.name(); }
  uint64_t size() const override { return file_.size(); }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return file_.extent_at(offset, max);
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    file_.read_at(offset, out);
  }
  void prefetch(uint64_t offset, uint64_t length) const override { file_.prefetch(offset, length); }
  /// The sum tells more than any time could.
  std::string stamp() const override { return sum_.text(); }

 private:
  const FileSource file_;
  const FileChecksum sum_;
};

/// Reads all of `file`, in order, for the hasher and, if not null, for the kept file.
void read_all(const Source& file, Hasher& hasher, KeptFile* kept, const SourceOptions& options) {
  Progress counters;
  counters.silent_for = [&file] { return file.silent_for(); };
  counters.data_total = file.size();
  counters.total_known = true;
  const ObservedPhase phase(options.observer, "checksum", counters, {});
  std::vector<std::byte> buffer(std::min(kStep, file.size()));
  for (uint64_t at = 0; at < file.size(); at += kStep) {
    if (options.network.stop.stop_requested()) {
      throw cancelled_error();
    }
    file.prefetch(at, std::min(kAhead, file.size() - at));
    const auto bytes = std::span(buffer).first(std::min(kStep, file.size() - at));
    file.read_at(at, bytes);
    hasher.add(bytes);
    if (kept != nullptr) {
      kept->write(at, bytes);
    }
    counters.data_done += bytes.size();
  }
}

}  // namespace

std::unique_ptr<Source> with_checksum(std::unique_ptr<Source> file, bool keep,
                                      const SourceOptions& options) {
  const FileChecksum& wanted = *options.checksum;
  Hasher hasher(file->name(), wanted.algorithm);
  std::optional<KeptFile> kept;
  if (keep) {
    kept.emplace(options.tmp_dir, file->size());
  }
  read_all(*file, hasher, kept ? &*kept : nullptr, options);
  file->check_unchanged();
  const std::string found = hasher.digits();
  if (found != wanted.digits) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = file->name(),
                 .action = "check its checksum",
                 .cause = "it is " + wanted.algorithm + ":" + found + ", not the one given",
                 .hint = "the file or the checksum is of another version, or one of them is "
                         "damaged: get both again"});
  }
  if (kept) {
    return std::make_unique<KeptSource>(kept->take(), file->name(), wanted);
  }
  return file;
}

}  // namespace vmferry
