// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "lib/migrate/journal_json.h"
#include "lib/store/file/file_io.h"
#include "vmferry/error.h"

namespace vmferry {
namespace migrate {
namespace fs = std::filesystem;
namespace {

constexpr int kFormat = 2;
constexpr int kOldestFormat = 1;       // see journal_json.h
constexpr size_t kLongest = 64 << 20;  // definitions of 4 MiB at most, two of them, escaped

/// What cannot be written down as it is cannot be recovered: no byte may be lost here.
std::string text_of(const nlohmann::json& json, const std::string& path, int indent = -1) {
  try {
    return json.dump(indent);
  } catch (const nlohmann::json::exception&) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = path,
                 .action = "write the journal",
                 .cause = "the name of a file, volume or user in it is not UTF-8",
                 .hint = "libvirt takes only names in UTF-8: rename it"});
  }
}

Error damaged(const std::string& path, const std::string& cause) {
  return Error(
      {.kind = ErrorKind::kCorrupt, .object = path, .action = "read the journal", .cause = cause});
}

bool is_known(const nlohmann::json& journal) {
  if (!journal.is_object() || !journal.contains("format")) {
    return false;
  }
  const nlohmann::json& format = journal["format"];
  return format.is_number_integer() && format >= kOldestFormat && format <= kFormat;
}

std::string read_up_to(size_t longest, std::ifstream& file, const std::string& path) {
  std::error_code unknown;
  const uintmax_t size = fs::file_size(path, unknown);
  std::string text(unknown ? 0 : std::min<uintmax_t>(size, longest), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

nlohmann::json read_journal(const std::string& domain, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "domain " + domain,
                 .action = "recover",
                 .cause = "there is no journal of a migration: " + path,
                 .hint = "nothing was left half done, or it ran with another --state-dir"});
  }
  nlohmann::json journal = nlohmann::json::parse(read_up_to(kLongest, file, path), nullptr, false);
  if (!is_known(journal)) {
    throw damaged(path, "it is damaged, or of another version of vmferry");
  }
  return journal;
}

template <typename T>
T get(const nlohmann::json& journal, const char* key, const std::string& path) {
  try {
    return journal.at(key).get<T>();
  } catch (const nlohmann::json::exception& error) {
    throw damaged(path, error.what());
  } catch (const std::invalid_argument& error) {  // a name that is not known
    throw damaged(path, error.what());
  }
}

}  // namespace

std::string journal_path(const std::string& domain, const std::string& state_dir) {
  return (fs::path(state_dir) / (state_file_name(domain) + ".json")).string();
}

void replace_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  {
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd.valid()) {
      throw errno_error(errno, temporary, "create");
    }
    pwrite_all(fd.get(), 0, std::as_bytes(std::span(text)), temporary);
    sync_fd(fd.get(), temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    throw errno_error(errno, path, "replace");
  }
  const std::string dir = fs::path(path).parent_path().string();
  const UniqueFd fd(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    throw errno_error(errno, dir, "open");
  }
  sync_fd(fd.get(), dir);
}

std::string state_file_name(const std::string& domain) {
  std::string name;
  for (const char c : domain) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' ||
                       (c == '.' && !name.empty());
    name += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return name;
}

void make_state_directory(const std::string& dir) {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) {
    throw errno_error(error.value(), dir, "make the state directory");
  }
}

Journal Journal::begin(const Plan& plan, const std::string& state_dir) {
  make_state_directory(state_dir);
  Journal journal;
  journal.plan_ = plan;
  journal.status_.resize(plan.steps.size(), StepStatus::kPending);
  journal.dir_ = state_dir;
  journal.path_ = journal_path(plan.request.domain, state_dir);
  journal.plan_text_ = text_of(plan, journal.path_, 1);
  journal.name_overlays();
  journal.lock();
  if (fs::exists(journal.path_)) {
    throw unended_run(read_plan(plan.request.domain, state_dir).kind, plan.request.domain,
                      state_dir);
  }
  journal.save();
  return journal;
}

Journal Journal::open(const std::string& domain, const std::string& state_dir) {
  Journal journal;
  journal.dir_ = state_dir;
  journal.path_ = journal_path(domain, state_dir);
  read_journal(domain, journal.path_);  // before a lock file is made for nothing
  journal.plan_.request.domain = domain;
  journal.lock();
  const nlohmann::json json = read_journal(domain, journal.path_);
  journal.plan_ = get<Plan>(json, "plan", journal.path_);
  journal.plan_text_ = text_of(journal.plan_, journal.path_, 1);
  journal.status_ = get<std::vector<StepStatus>>(json, "status", journal.path_);
  journal.notes_ = get<std::set<std::string>>(json, "notes", journal.path_);
  if (json.contains("texts")) {  // journals of older versions have none
    journal.texts_ = get<std::map<std::string, std::string>>(json, "texts", journal.path_);
  }
  journal.status_.resize(journal.plan_.steps.size(), StepStatus::kPending);
  journal.leave_out_gone();
  journal.name_overlays();
  return journal;
}

Plan Journal::read_plan(const std::string& domain, const std::string& state_dir) {
  const std::string path = journal_path(domain, state_dir);
  return get<Plan>(read_journal(domain, path), "plan", path);
}

void Journal::change_request(MigrateRequest request) {
  if (request.to.empty() || !plan_.request.to_other_host()) {
    request.to = plan_.request.to;
  }
  request.to_dir = plan_.request.to_dir;
  request.file_layout = plan_.request.file_layout;
  plan_.request = std::move(request);
}

void Journal::lock() {
  const std::string path = path_ + ".lock";
  lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_.valid()) {
    throw errno_error(errno, path, "create");
  }
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) {
    return;
  }
  if (errno != EWOULDBLOCK) {
    throw errno_error(errno, path, "lock");
  }
  throw Error({.kind = ErrorKind::kConflict,
               .object = "domain " + plan_.request.domain,
               .action = "migrate",
               .cause = "another vmferry is migrating this domain"});
}

void Journal::set_status(size_t step, StepStatus status) {
  const std::lock_guard lock(*mutex_);
  status_[step] = status;
  save();
}

bool Journal::noted(const std::string& fact) const {
  const std::lock_guard lock(*mutex_);
  return notes_.contains(fact);
}

void Journal::note(const std::string& fact) {
  const std::lock_guard lock(*mutex_);
  if (notes_.insert(fact).second) {
    save();
  }
}

void Journal::forget(const std::string& fact) {
  const std::lock_guard lock(*mutex_);
  if (notes_.erase(fact) != 0) {
    save();
  }
}

void Journal::remove() {
  ::unlink(path_.c_str());
  ::unlink((path_ + ".lock").c_str());
}

void Journal::drop(const std::string& dev) {
  note(kGone + dev);
  leave_out_gone();
}

void Journal::leave_out_gone() {
  std::erase_if(plan_.disks, [this](const MovingDisk& disk) { return noted(kGone + disk.dev); });
}

void Journal::record(const std::string& name, const std::string& text) {
  const std::lock_guard lock(*mutex_);
  texts_[name] = text;
  save();
}

void Journal::unrecord(const std::string& name) {
  const std::lock_guard lock(*mutex_);
  if (texts_.erase(name) != 0) {
    save();
  }
}

std::optional<std::string> Journal::recorded(const std::string& name) const {
  const std::lock_guard lock(*mutex_);
  const auto found = texts_.find(name);
  return found == texts_.end() ? std::nullopt : std::optional(found->second);
}

std::string Journal::kept_path(const std::string& name) const {
  return (fs::path(dir_) / fmt::format("{}-{}.xml", state_file_name(plan_.request.domain), name))
      .string();
}

std::string Journal::keep(const std::string& name, const std::string& text) {
  std::string path = kept_path(name);
  replace_file(path, text);
  return path;
}

std::string Journal::kept(const std::string& name) const {
  const std::string path = kept_path(name);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw errno_error(errno, path, "open");
  }
  return read_up_to(kMaxDefinitionBytes, file, path);
}

void Journal::remove_kept(const std::string& name) {
  const std::string path = kept_path(name);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw errno_error(errno, path, "remove");
  }
}

void Journal::save() const {
  const nlohmann::json rest = {{"status", status_}, {"notes", notes_}, {"texts", texts_}};
  replace_file(path_, fmt::format("{{\"format\": {},\n\"plan\": {},\n{}", kFormat, plan_text_,
                                  text_of(rest, path_).substr(1)));
}

}  // namespace migrate

std::string default_state_dir() {
  if (::geteuid() == 0) {
    return "/var/lib/vmferry";
  }
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state && *state) {
    return std::string(state) + "/vmferry";
  }
  const char* home = std::getenv("HOME");
  return std::string(home ? home : ".") + "/.local/state/vmferry";
}

}  // namespace vmferry
