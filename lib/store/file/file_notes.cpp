// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/file/file_notes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <span>

#include "lib/store/file/file_io.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr size_t kLongestLine = 32 << 10;
constexpr size_t kMostNotes = 1 << 17;

}  // namespace

std::map<std::string, std::string> FileNotes::read() {
  std::map<std::string, std::string> notes;
  struct stat status;
  if (::lstat(path_.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return notes;  // a pipe would be waited for
  }
  std::ifstream file(path_);
  std::array<char, kLongestLine> line = {};
  size_t bytes = 0;
  while (notes.size() < kMostNotes && file.getline(line.data(), line.size()) && !file.eof()) {
    const std::string text = line.data();
    const size_t blank = text.find(' ');
    if (blank == std::string::npos) {
      continue;
    }
    std::string& note = notes[text.substr(0, blank)];
    bytes += text.size() - note.size();  // a key may count more than once
    note = text.substr(blank + 1);
    if (bytes > most_bytes_) {
      break;
    }
  }
  return notes;
}

void FileNotes::write(const std::string& key, const std::string& text) {
  if (!fd_.valid()) {
    fd_ = UniqueFd(
        ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd_.valid()) {
      throw errno_error(errno, path_, "open");
    }
    sync_directory_of(path_);
  }
  // A line that a kill cut off ends here, so that this one is its own.
  const auto end = static_cast<uint64_t>(stat_fd(fd_.get(), path_).st_size);
  const std::string line = (end > 0 ? "\n" : "") + key + " " + text + "\n";
  pwrite_all(fd_.get(), end, std::as_bytes(std::span(line)), path_);
  sync_fd(fd_.get(), path_);
}

void FileNotes::remove() noexcept { ::unlink(path_.c_str()); }

}  // namespace vmferry
