// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_names.h"

#include <rbd/librbd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <optional>
#include <string_view>

#include "lib/store/rbd/rados_text.h"
#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {
namespace {

constexpr const char* kDirectory = "rbd_directory";
constexpr const char* kTrash = "rbd_trash";

std::string id_object(const std::string& name) { return "rbd_id." + name; }

class ReadOp {
 public:
  ReadOp() : op_(rados_create_read_op()) {}
  ReadOp(const ReadOp&) = delete;
  ReadOp& operator=(const ReadOp&) = delete;
  ~ReadOp() { rados_release_read_op(op_); }
  rados_read_op_t get() const { return op_; }

 private:
  rados_read_op_t op_;
};

/// The directory maps "name_NAME" to an id and "id_ID" to a name. Empty: not there.
std::string ask_directory(rados_ioctx_t io, const RbdLocation& location, const std::string& key) {
  const ReadOp op;
  const char* keys[] = {key.c_str()};
  const size_t lengths[] = {key.size()};
  rados_omap_iter_t answer = nullptr;
  int answer_rc = 0;
  rados_read_op_omap_get_vals_by_keys2(op.get(), keys, 1, lengths, &answer, &answer_rc);
  int rc = rados_read_op_operate(op.get(), io, kDirectory, 0);
  if (rc >= 0) {
    rc = answer_rc;
  }
  std::string value;
  if (rc >= 0) {
    char* found_key = nullptr;
    char* found = nullptr;
    size_t key_length = 0;
    size_t length = 0;
    rados_omap_get_next2(answer, &found_key, &found, &key_length, &length);
    if (found != nullptr) {
      value = decode_rados_text({found, length});
    }
  }
  if (answer != nullptr) {
    rados_omap_get_end(answer);
  }
  // EOPNOTSUPP: a pool that keeps no such maps has no volumes either (erasure-coded).
  if (rc < 0 && rc != -ENOENT && rc != -EOPNOTSUPP) {
    throw rbd_error(rc, location, "look into the pool's directory");
  }
  return value;
}

/// The trash maps "id_ID" to what was thrown away. rbd_trash_list leaves out what is being removed
/// (Ceph 16: librbd::api::Trash::list), so it is read here, a page at a time.
class TrashReader {
 public:
  struct Entry {
    std::string id;
    std::string value;
  };

  TrashReader(rados_ioctx_t io, const RbdLocation& location) : io_(io), location_(location) {}
  TrashReader(const TrashReader&) = delete;
  TrashReader& operator=(const TrashReader&) = delete;
  ~TrashReader() { end_page(); }

  /// Nothing: that was all.
  std::optional<Entry> next() {
    for (;;) {
      if (page_ == nullptr && !(more_ && read_page())) {
        return std::nullopt;
      }
      char* key = nullptr;
      char* value = nullptr;
      size_t key_length = 0;
      size_t length = 0;
      rados_omap_get_next2(page_, &key, &value, &key_length, &length);
      if (key == nullptr) {
        end_page();
        continue;
      }
      last_.assign(key, key_length);
      if (last_.starts_with("id_")) {
        return Entry{last_.substr(3), {value, length}};
      }
    }
  }

 private:
  /// False: there is no trash.
  bool read_page() {
    constexpr uint64_t kPage = 512;
    const ReadOp op;
    unsigned char more = 0;
    int answer_rc = 0;
    rados_read_op_omap_get_vals2(op.get(), last_.c_str(), "", kPage, &page_, &more, &answer_rc);
    int rc = rados_read_op_operate(op.get(), io_, kTrash, 0);
    if (rc >= 0) {
      rc = answer_rc;
    }
    more_ = rc >= 0 && more != 0;
    if (rc >= 0) {
      return true;
    }
    end_page();
    if (rc == -ENOENT || rc == -EOPNOTSUPP) {
      return false;
    }
    throw rbd_error(rc, location_, "look into the trash");
  }
  void end_page() {
    if (page_ != nullptr) {
      rados_omap_get_end(page_);
    }
    page_ = nullptr;
  }

  rados_ioctx_t io_;
  const RbdLocation& location_;
  rados_omap_iter_t page_ = nullptr;
  std::string last_;
  bool more_ = true;
};

/// A cls::rbd::TrashImageSpec: six bytes that tell its version and length, the source, the name.
bool is_being_removed(const std::string& entry, const std::string& name) {
  constexpr size_t kSource = 6;
  constexpr size_t kName = 7;
  return entry.size() > kName && entry[kSource] == RBD_TRASH_IMAGE_SOURCE_REMOVING &&
         decode_rados_text(std::string_view(entry).substr(kName)) == name;
}

/// Only if it leads to `id` still.
void remove_id_object(rados_ioctx_t io, const RbdLocation& location, const std::string& name,
                      const std::string& id) {
  const std::string wanted = encode_rados_text(id);
  rados_write_op_t op = rados_create_write_op();
  int compared = 0;
  rados_write_op_cmpext(op, wanted.data(), wanted.size(), 0, &compared);
  rados_write_op_remove(op);
  const int rc = rados_write_op_operate(op, io, id_object(name).c_str(), nullptr, 0);
  rados_release_write_op(op);
  if (rc < 0 && rc != -ENOENT) {
    throw rbd_error(rc, location, "end the renaming of " + name);
  }
}

/// An operation that is under way. What it writes to must outlive it.
class Later {
 public:
  Later() { rados_aio_create_completion2(nullptr, nullptr, &completion_); }
  Later(const Later&) = delete;
  Later& operator=(const Later&) = delete;
  ~Later() {
    wait();
    rados_aio_release(completion_);
  }

  /// `start` gets the completion, and returns as rados_aio_*() do.
  template <typename Start>
  void start(Start start) {
    started_ = start(completion_);
  }
  int wait() {
    if (started_ < 0) {
      return started_;
    }
    rados_aio_wait_for_complete(completion_);
    return rados_aio_get_return_value(completion_);
  }

 private:
  rados_completion_t completion_ = nullptr;
  int started_ = -ENOENT;
};

/// Asks whether an object is there.
class ObjectQuestion {
 public:
  ObjectQuestion(rados_ioctx_t io, const std::string& object) {
    later_.start([&](rados_completion_t completion) {
      return rados_aio_stat(io, object.c_str(), completion, &size_, &time_);
    });
  }
  bool is_absent() { return later_.wait() == -ENOENT; }

 private:
  uint64_t size_ = 0;
  time_t time_ = 0;
  Later later_;  // last: it writes to the others
};

/// Asks whether the directory has any of these keys.
class DirectoryQuestion {
 public:
  DirectoryQuestion(rados_ioctx_t io, const std::vector<std::string>& keys) {
    std::vector<const char*> texts;
    std::vector<size_t> lengths;
    for (const std::string& key : keys) {
      texts.push_back(key.c_str());
      lengths.push_back(key.size());
    }
    rados_read_op_omap_get_vals_by_keys2(op_.get(), texts.data(), texts.size(), lengths.data(),
                                         &answer_, &answer_rc_);
    later_.start([&](rados_completion_t completion) {
      return rados_aio_read_op_operate(op_.get(), io, completion, kDirectory, 0);
    });
  }
  DirectoryQuestion(const DirectoryQuestion&) = delete;
  DirectoryQuestion& operator=(const DirectoryQuestion&) = delete;
  ~DirectoryQuestion() {
    later_.wait();
    if (answer_ != nullptr) {
      rados_omap_get_end(answer_);
    }
  }
  bool has_none() {
    const int rc = later_.wait();
    return rc == -ENOENT || (rc >= 0 && answer_rc_ >= 0 && rados_omap_iter_size(answer_) == 0);
  }

 private:
  ReadOp op_;
  rados_omap_iter_t answer_ = nullptr;
  int answer_rc_ = 0;
  Later later_;  // last: it writes to the others
};

}  // namespace

bool are_unused(rados_ioctx_t io, const RbdLocation& location,
                const std::vector<std::string>& names) {
  std::deque<ObjectQuestion> objects;
  std::vector<std::string> keys;
  for (const std::string& name : names) {
    objects.emplace_back(io, id_object(name));
    objects.emplace_back(io, name + ".rbd");  // the header of a volume of format 1
    keys.push_back("name_" + name);
  }
  DirectoryQuestion directory(io, keys);
  for (TrashReader trash(io, location); const auto entry = trash.next();) {
    if (std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return is_being_removed(entry->value, name);
        })) {
      return false;
    }
  }
  return directory.has_none() &&
         std::all_of(objects.begin(), objects.end(),
                     [](ObjectQuestion& object) { return object.is_absent(); });
}

RbdName look_up_name(rados_ioctx_t io, const RbdLocation& location, const std::string& name) {
  std::array<char, 1024> bytes;
  Later later;
  later.start([&](rados_completion_t completion) {
    return rados_aio_read(io, id_object(name).c_str(), completion, bytes.data(), bytes.size(), 0);
  });
  RbdName found;
  found.by_directory = ask_directory(io, location, "name_" + name);
  const int rc = later.wait();
  if (rc < 0 && rc != -ENOENT) {
    throw rbd_error(rc, location, "look for the volume " + name);
  }
  if (rc >= 0) {
    found.by_object = decode_rados_text({bytes.data(), static_cast<size_t>(rc)});
  }
  return found;
}

std::vector<std::string> ids_being_removed(rados_ioctx_t io, const RbdLocation& location,
                                           const std::string& name) {
  std::vector<std::string> ids;
  for (TrashReader trash(io, location); const auto entry = trash.next();) {
    if (is_being_removed(entry->value, name)) {
      ids.push_back(entry->id);
    }
  }
  return ids;
}

void settle_names(rados_ioctx_t io, const RbdLocation& location,
                  const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const RbdName found = look_up_name(io, location, name);
    if (found.by_object.empty() || found.by_object == found.by_directory) {
      continue;
    }
    const std::string other = ask_directory(io, location, "id_" + found.by_object);
    if (std::find(names.begin(), names.end(), other) == names.end()) {
      continue;
    }
    if (!look_up_name(io, location, other).leads_to(found.by_object)) {
      continue;
    }
    remove_id_object(io, location, name, found.by_object);
  }
}

}  // namespace vmferry
