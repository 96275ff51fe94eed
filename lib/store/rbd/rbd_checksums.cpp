// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_checksums.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "lib/core/endian.h"
#include "lib/core/xxh64.h"
#include "lib/core/zeros.h"
#include "lib/store/rbd/rbd_diff.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kBlock = DiskDigest::kBlock;
constexpr size_t kQuestions = 32;  // under way
constexpr uint64_t kAtOnce = uint64_t{1} << 40;

/// One checksum as an OSD answers: how many there are (a range beyond the end of the object has
/// none), and the first of them.
struct Checksum {
  std::array<std::byte, 12> answer = {};
  int rc = 0;

  void ask(rados_read_op_t op, uint64_t offset, uint64_t length) {
    static constexpr std::array<char, 8> kSeed = {};
    rados_read_op_checksum(op, LIBRADOS_CHECKSUM_TYPE_XXHASH64, kSeed.data(), kSeed.size(), offset,
                           length, 0, reinterpret_cast<char*>(answer.data()), answer.size(), &rc);
  }
  bool is(uint64_t hash) const { return le32(answer, 0) == 1 && le64(answer, 4) == hash; }
};

uint64_t hash_of_zeros(uint64_t count) {
  Xxh64 zeros;
  zeros.add_zeros(count);
  return zeros.hash();
}

}  // namespace

/// What one object is asked, for one block.
struct RbdChecksums::Question {
  uint64_t block = 0;
  BlockDigest digest;
  uint64_t begin = 0;   ///< of the block, in its object
  uint64_t length = 0;  ///< of the block
  uint64_t object_size = 0;
  time_t modified = 0;
  int stat_rc = 0;
  Checksum data;
  Checksum rest;
  rados_read_op_t op = rados_create_read_op();
  rados_completion_t completion = nullptr;
  std::mutex mutex;
  std::condition_variable_any answered;
  bool is_answered = false;

  Question() = default;
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;
  /// The answer goes into this: it stays until there is one.
  ~Question() {
    if (completion != nullptr) {
      rados_aio_wait_for_complete_and_cb(completion);
      rados_aio_release(completion);
    }
    rados_release_read_op(op);
  }

  static void on_answer(rados_completion_t /*completion*/, void* argument) {
    auto* question = static_cast<Question*>(argument);
    const std::lock_guard lock(question->mutex);
    question->is_answered = true;
    question->answered.notify_all();
  }
  /// False: stopped before.
  bool wait(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    return answered.wait(lock, stop, [this] { return is_answered; });
  }
};

std::unique_ptr<RbdChecksums> RbdChecksums::of(const RbdPool& pool, rbd_image_t image,
                                               const RbdLocation& location) {
  rbd_image_info_t info;
  uint64_t stripe_count = 0;
  uint8_t old_format = 0;
  uint64_t overlap = 0;
  for (const int rc :
       {rbd_stat(image, &info, sizeof info), rbd_get_stripe_count(image, &stripe_count),
        rbd_get_old_format(image, &old_format), rbd_get_overlap(image, &overlap)}) {
    if (rc < 0) {
      throw rbd_error(rc, location, "ask for its layout");
    }
  }
  if (info.obj_size < kBlock || stripe_count != 1 || old_format != 0 || overlap != 0) {
    return nullptr;
  }
  std::unique_ptr<RbdChecksums> checksums(new RbdChecksums(pool, image, location, info));
  checksums->open_data_pool();
  return checksums;
}

RbdChecksums::RbdChecksums(const RbdPool& pool, rbd_image_t image, const RbdLocation& location,
                           const rbd_image_info_t& info)
    : pool_(pool),
      image_(image),
      location_(location),
      size_(info.size),
      object_size_(info.obj_size),
      prefix_(info.block_name_prefix),
      good_(info.size) {}

RbdChecksums::~RbdChecksums() {
  drop_questions();
  if (io_ != nullptr) {
    rados_ioctx_destroy(io_);
  }
}

void RbdChecksums::open_data_pool() {
  const int64_t id = rbd_get_data_pool_id(image_);
  if (id < 0) {
    throw rbd_error(static_cast<int>(id), location_, "ask for its data pool");
  }
  const int rc = rados_ioctx_create2(pool_.client().get(), id, &io_);
  if (rc < 0) {
    throw rbd_error(rc, location_, "open its data pool");
  }
  rados_ioctx_set_namespace(io_, location_.name_space.c_str());
}

std::unique_ptr<RbdChecksums::Question> RbdChecksums::ask(uint64_t block,
                                                          const BlockDigest& digest) const {
  auto question = std::make_unique<Question>();
  const uint64_t offset = block * kBlock;
  question->block = block;
  question->digest = digest;
  question->begin = offset % object_size_;
  question->length = std::min(kBlock, size_ - offset);
  rados_read_op_stat(question->op, &question->object_size, &question->modified, &question->stat_rc);
  if (digest.length > 0) {
    question->data.ask(question->op, question->begin, digest.length);
  }
  if (digest.length < question->length) {
    question->rest.ask(question->op, question->begin + digest.length,
                       question->length - digest.length);
  }
  const int rc =
      rados_aio_create_completion2(question.get(), Question::on_answer, &question->completion);
  if (rc < 0) {
    question->completion = nullptr;
    throw rbd_error(rc, location_, "ask the OSDs for checksums", offset);
  }
  // Object names: librbd's util::data_object_name.
  const std::string object = fmt::format("{}.{:016x}", prefix_, offset / object_size_);
  const int sent =
      rados_aio_read_op_operate(question->op, io_, question->completion, object.c_str(), 0);
  if (sent < 0) {
    rados_aio_release(std::exchange(question->completion, nullptr));
    throw rbd_error(sent, location_, "ask the OSDs for checksums", offset);
  }
  return question;
}

std::optional<bool> RbdChecksums::is_as_said(const Question& question) const {
  const int rc = rados_aio_get_return_value(question.completion);
  const BlockDigest& digest = question.digest;
  if (rc == -ENOENT) {
    return digest.length == 0;
  }
  if (rc == -EOPNOTSUPP || rc == -EINVAL) {
    return std::nullopt;
  }
  if (rc < 0) {
    throw rbd_error(rc, location_, "ask the OSDs for checksums", question.block * kBlock);
  }
  const uint64_t end = question.begin + digest.length;
  if (digest.length > 0 && (question.object_size < end || !question.data.is(digest.hash))) {
    return false;
  }
  const uint64_t rest = std::min(question.object_size, question.begin + question.length);
  return rest <= end || question.rest.is(hash_of_zeros(rest - end));
}

std::vector<Extent> RbdChecksums::find_objects(Pulse& pulse) const {
  std::vector<Extent> objects;
  for (uint64_t offset = 0; offset < size_; offset += kAtOnce) {
    const Extent range = {offset, std::min(kAtOnce, size_ - offset)};
    const int rc =
        visit_rbd_data({pool_.io(), image_, {}}, range, RbdDiff::kObjectsAndParents,
                       [&objects](const Extent& extent) { append_run(objects, extent); });
    if (rc < 0) {
      throw rbd_error(rc, location_, "ask which objects there are");
    }
    pulse.beat();
  }
  return objects;
}

void RbdChecksums::drop_questions() { questions_.clear(); }

/// Asks them, several at a time. After a stop some are under way still.
class RbdChecksums::Questions {
 public:
  Questions(RbdChecksums& checksums, const std::stop_token& stop)
      : checksums_(checksums), stop_(stop) {}

  void ask(uint64_t block, const BlockDigest& said) {
    if (checksums_.questions_.size() == kQuestions) {
      take_answer();
    }
    if (!stop_.stop_requested()) {
      checksums_.questions_.push_back(checksums_.ask(block, said));
    }
  }
  void take_all() {
    while (!checksums_.questions_.empty() && take_answer()) {
    }
  }

  std::vector<uint64_t> different;  ///< as far as answers were taken
  uint64_t answered_bytes = 0;

 private:
  /// False: stopped before.
  bool take_answer() {
    Question& question = *checksums_.questions_.front();
    if (!question.wait(stop_)) {
      return false;
    }
    const std::optional<bool> same = checksums_.is_as_said(question);
    if (!same) {
      checksums_.can_compute_ = false;
    } else if (*same) {
      checksums_.good_.set(question.block, question.digest);
    } else {
      different.push_back(question.block);
    }
    answered_bytes += question.digest.length;
    checksums_.questions_.pop_front();
    return true;
  }

  RbdChecksums& checksums_;
  const std::stop_token stop_;
};

void RbdChecksums::check_early(std::span<const DiskDigest::Known> blocks,
                               const std::stop_token& stop) {
  Questions questions(*this, stop);
  for (const DiskDigest::Known& block : blocks) {
    if (stop.stop_requested() || !can_compute_) {
      break;
    }
    if (good_.find(block.index) != block.digest) {
      questions.ask(block.index, block.digest);
    }
  }
  questions.take_all();
}

std::optional<std::vector<uint64_t>> RbdChecksums::find_different(
    const DiskDigest& digest, const std::vector<Extent>& objects, Progress& counters,
    const std::stop_token& stop) {
  Questions questions(*this, stop);
  const auto throw_if_stopped = [&stop] {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
  };
  const auto ask = [&](uint64_t block, const BlockDigest& said) {
    questions.ask(block, said);
    throw_if_stopped();
    counters.data_done = questions.answered_bytes;
    return can_compute_;
  };
  const auto next_to_ask = [&](uint64_t from) {
    auto block = digest.next(from);
    while (block && good_.find(block->index) == block->digest) {
      block = digest.next(block->index + 1);
    }
    return block;
  };

  for (auto block = next_to_ask(0); block; block = next_to_ask(block->index + 1)) {
    counters.data_total += block->digest.length;
  }
  counters.total_known = true;
  // Of these nothing was said: they should be zero.
  for (const Extent& extent : objects) {
    for (uint64_t block = extent.offset / kBlock; block * kBlock < extent.end(); ++block) {
      if (!digest.find(block) && !ask(block, {})) {
        return std::nullopt;
      }
    }
  }
  for (auto block = next_to_ask(0); block; block = next_to_ask(block->index + 1)) {
    if (!ask(block->index, block->digest)) {
      return std::nullopt;
    }
  }
  questions.take_all();
  throw_if_stopped();
  counters.data_done = questions.answered_bytes;
  if (!can_compute_) {
    return std::nullopt;
  }
  std::sort(questions.different.begin(), questions.different.end());
  return questions.different;
}

}  // namespace vmferry
