// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/history.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "lib/transfer/delta.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "vmferry/error.h"
#include "vmferry/transfer_history.h"

namespace vmferry::test {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kUnit = 4096;

/// One state of a disk: pages of zeros are holes.
class StateSource : public Source {
 public:
  explicit StateSource(Bytes bytes) : bytes_(std::move(bytes)) {}
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    check_range(offset, max, size());
    const uint64_t end = std::min((offset / kUnit + 1) * kUnit, offset + max);
    const bool zero = std::all_of(bytes_.begin() + static_cast<std::ptrdiff_t>(offset),
                                  bytes_.begin() + static_cast<std::ptrdiff_t>(end),
                                  [](std::byte byte) { return byte == std::byte{0}; });
    return {offset, end - offset, zero ? ExtentKind::kZero : ExtentKind::kData};
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size(), size());
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    bytes_read += out.size();
  }
  std::string stamp() const override { return "of a model"; }
  const Bytes& bytes() const { return bytes_; }

  static inline std::atomic<uint64_t> bytes_read = 0;

 private:
  const Bytes bytes_;
  const std::string name_ = "state";
};

/// Exact to the unit, or to bytes.
class StateChanges : public Changes {
 public:
  StateChanges(Bytes before, Bytes after, uint64_t unit)
      : before_(std::move(before)), after_(std::move(after)), unit_(unit) {}
  Run run_at(uint64_t offset, uint64_t max) const override {
    check_range(offset, max, after_.size());
    const uint64_t end = std::min((offset / unit_ + 1) * unit_, offset + max);
    if (end > before_.size()) {
      return {end - offset, true};
    }
    return {end - offset,
            std::memcmp(before_.data() + offset, after_.data() + offset, end - offset) != 0};
  }

 private:
  const Bytes before_;
  const Bytes after_;
  const uint64_t unit_;
};

/// The last of the states is the disk as it is now.
class StatesSource : public StateSource, public History {
 public:
  explicit StatesSource(std::vector<Bytes> states, uint64_t unit = kUnit)
      : StateSource(states.back()), states_(std::move(states)), unit_(unit) {}
  std::vector<Point> points() const override {
    std::vector<Point> points;
    for (size_t i = 0; i + 1 < states_.size(); ++i) {
      points.push_back({.name = std::to_string(i), .id = "", .size = states_[i].size()});
    }
    return points;
  }
  std::unique_ptr<Source> open_point(size_t index) const override {
    return std::make_unique<StateSource>(states_[index]);
  }
  std::unique_ptr<Changes> changes(size_t before, size_t after) const override {
    return std::make_unique<StateChanges>(states_[before], states_[after], unit_);
  }

 private:
  const std::vector<Bytes> states_;
  const uint64_t unit_;
};

/// Keeps what it is given, and each state that is marked. Fails when it is told to.
class StatesTarget : public Target, private Sink, private TargetNotes {
 public:
  explicit StatesTarget(uint64_t size) : bytes_(size) {}

  Sink& sink() override { return *this; }
  void publish() override { published = true; }
  bool can_mark() const override { return true; }
  std::string mark(const Point& point) override {
    kept.push_back(bytes_);
    return "at " + point.name;
  }
  std::vector<std::string> marks(const std::vector<Point>& /*states*/) override {
    std::vector<std::string> names;
    for (size_t i = 0; i < kept.size(); ++i) {
      names.push_back("at " + std::to_string(i));
    }
    return names;
  }
  TargetNotes* notes() override { return this; }
  bool adopted() const override { return is_adopted; }
  std::string keep() override { return "remove it"; }

  const Bytes& bytes() const { return bytes_; }

  std::vector<Bytes> kept;
  bool published = false;
  bool is_adopted = false;
  int writes_left = INT_MAX;
  std::atomic<uint64_t> bytes_written = 0;
  std::map<std::string, std::string> written_notes;
  /// What a snapshot loses after it was made.
  void damage(size_t state, uint64_t at) { damaged_ = {state, at}; }
  void scribble(uint64_t at) {
    if (at < bytes_.size()) {
      bytes_[at] ^= std::byte{1};
    }
  }

 private:
  std::map<std::string, std::string> read() override { return written_notes; }
  void write(const std::string& key, const std::string& text) override {
    written_notes[key] = text;
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  SinkTraits traits() const override {
    return {.write_size = 1 << 16, .zero_granularity = 8192, .starts_zeroed = kept.empty()};
  }
  void write_at(uint64_t offset, Slice data) override {
    const std::lock_guard lock(mutex_);
    if (--writes_left < 0) {
      throw Error({.kind = ErrorKind::kIo, .object = name_, .action = "write", .cause = "full"});
    }
    check_range(offset, data.bytes().size(), size());
    std::memcpy(bytes_.data() + offset, data.bytes().data(), data.bytes().size());
    bytes_written += data.bytes().size();
  }
  void zero_range(uint64_t offset, uint64_t length) override {
    const std::lock_guard lock(mutex_);
    check_range(offset, length, size());
    std::memset(bytes_.data() + offset, 0, length);
  }
  void set_size(uint64_t size) override { bytes_.resize(size); }
  void flush() override {}
  std::unique_ptr<Source> read_back() override {
    std::vector<Bytes> states = kept;
    states.push_back(bytes_);
    if (damaged_ && damaged_->first < states.size()) {
      states[damaged_->first][damaged_->second] ^= std::byte{1};
    }
    return std::make_unique<StatesSource>(states);
  }

  const std::string name_ = "target";
  std::mutex mutex_;
  Bytes bytes_;
  std::optional<std::pair<size_t, uint64_t>> damaged_;
};

/// A disk, and what becomes of it: a few pages written, a few zeroed, cut, or made longer.
std::vector<Bytes> random_states(std::mt19937& random, size_t count) {
  const auto below = [&random](uint64_t limit) { return random() % limit; };
  const auto fill = [&](Bytes& disk, uint64_t at, uint64_t length) {
    for (uint64_t i = at; i < at + length; ++i) {
      disk[i] = std::byte(below(255) + 1);
    }
  };
  std::vector<Bytes> states = {Bytes(kUnit * (40 + below(40)) + below(2) * 512)};
  fill(states[0], kUnit * below(10), kUnit * (1 + below(20)));
  while (states.size() < count) {
    Bytes disk = states.back();
    if (below(3) == 0) {
      disk.resize(512 * (1 + below(800)));
    }
    for (uint64_t n = below(5); n > 0; --n) {
      const uint64_t at = below(disk.size());
      const uint64_t length = 1 + below(std::min<uint64_t>(disk.size() - at, 5 * kUnit));
      if (below(2) == 0) {
        fill(disk, at, length);
      } else {
        std::memset(disk.data() + at, 0, length);
      }
    }
    states.push_back(disk);
  }
  return states;
}

std::vector<size_t> all_but_last(const std::vector<Bytes>& states) {
  std::vector<size_t> points(states.size() - 1);
  for (size_t i = 0; i < points.size(); ++i) {
    points[i] = i;
  }
  return points;
}

void require_states(const StatesTarget& target, const std::vector<Bytes>& states,
                    const std::vector<size_t>& points) {
  REQUIRE(target.kept.size() == points.size());
  for (size_t i = 0; i < points.size(); ++i) {
    CAPTURE(i);
    CHECK(same_bytes(target.kept[i], states[points[i]]));
  }
  CHECK(same_bytes(target.bytes(), states.back()));
  CHECK(target.published);
}

TEST_CASE("every state arrives, whatever became of the disk", "[history]") {
  std::mt19937 random(17);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    const std::vector<Bytes> states = random_states(random, 2 + random() % 5);
    const StatesSource source(states, round % 2 == 0 ? kUnit : 512);
    std::vector<size_t> points = all_but_last(states);
    if (points.size() > 2 && round % 3 == 0) {
      points.erase(points.begin() + 1);  // not all of them
    }
    StatesTarget target(states[points.front()].size());
    const HistoryResult result =
        transfer_history(source, points, target,
                         {.jobs = 3, .verify = round % 4 == 0 ? Verify::kReading : Verify::kYes});
    require_states(target, states, points);
    REQUIRE(result.points.size() == points.size());
    CHECK(result.points.back().name == "at " + std::to_string(points.back()));
    CHECK(result.verified == Verify::kReading);
  }
}

TEST_CASE("only what differs is read and written", "[history]") {
  Bytes disk(4 << 20, std::byte{'A'});
  std::vector<Bytes> states = {disk};
  for (size_t i = 0; i < 4; ++i) {
    std::memset(disk.data() + i * (1 << 20), 'B', 3 * kUnit);
    states.push_back(disk);
  }
  const StatesSource source(states);
  StatesTarget target(disk.size());
  StateSource::bytes_read = 0;
  const HistoryResult result = transfer_history(source, all_but_last(states), target);
  require_states(target, states, all_but_last(states));
  // What differs ends inside of a block of 8 KiB.
  CHECK(target.bytes_written == disk.size() + 4 * 4 * kUnit);
  CHECK(StateSource::bytes_read == disk.size() + 4 * 4 * kUnit);
  CHECK(result.written_bytes == target.bytes_written);
}

TEST_CASE("a state that the target lost is found", "[history]") {
  std::mt19937 random(5);
  const std::vector<Bytes> states = random_states(random, 4);
  const StatesSource source(states);
  for (size_t state = 0; state < states.size(); ++state) {
    for (const Verify verify : {Verify::kYes, Verify::kReading}) {
      CAPTURE(state);
      StatesTarget target(states[0].size());
      target.damage(state, 300);
      // The first one was read back before it was marked.
      if (state == 0 && verify == Verify::kYes) {
        continue;
      }
      CHECK_THROWS_WITH(transfer_history(source, all_but_last(states), target, {.verify = verify}),
                        Contains("reads back differently"));
      CHECK_FALSE(target.published);
    }
  }
}

TEST_CASE("a run that failed is gone on with after the last whole state", "[history]") {
  std::mt19937 random(23);
  for (int writes = 1; writes < 12; ++writes) {
    CAPTURE(writes);
    const std::vector<Bytes> states = random_states(random, 5);
    const StatesSource source(states);
    StatesTarget target(states[0].size());
    target.writes_left = writes;
    const TransferOptions options = {.jobs = 1, .verify = Verify::kYes, .keep_partial = true};
    try {
      transfer_history(source, all_but_last(states), target, options);
      continue;  // so few writes
    } catch (const Error& error) {
      CHECK_FALSE(target.published);
      if (target.kept.empty()) {
        continue;  // nothing to go on with
      }
      CHECK_THAT(error.hint(), Contains("--resume"));
    }
    target.writes_left = INT_MAX;
    target.is_adopted = true;
    target.scribble(writes % 2 == 0 ? 0 : kUnit);  // somebody else wrote to it meanwhile
    transfer_history(source, all_but_last(states), target, options);
    require_states(target, states, all_but_last(states));
  }
}

TEST_CASE("what another image has left is not gone on with", "[history]") {
  const std::vector<Bytes> states(3, Bytes(kUnit, std::byte{1}));
  const StatesSource source(states);
  StatesTarget target(kUnit);
  target.is_adopted = true;
  target.kept.emplace_back(kUnit);
  CHECK_THROWS_WITH(transfer_history(source, {0, 1}, target, {.keep_partial = true}),
                    Contains("other snapshots"));
  target.written_notes["vmferry.history"] = "of a model, states 0";
  CHECK_THROWS_WITH(transfer_history(source, {0, 1}, target, {.keep_partial = true}),
                    Contains("other snapshots"));
  CHECK_FALSE(target.published);
}

TEST_CASE("changes are rounded to blocks, and what is the same stays so", "[history]") {
  class Told : public Changes {
   public:
    Run run_at(uint64_t offset, uint64_t max) const override {
      // 100..200 and 5000..5001 differ, of 10000.
      for (const uint64_t edge : {100, 200, 5000, 5001, 10000}) {
        if (offset < edge) {
          return {std::min(max, edge - offset), edge == 200 || edge == 5001};
        }
      }
      throw std::logic_error("beyond the end");
    }
  };
  const Told told;
  const BlockChanges blocks(told, 10000, 512);
  const auto run = [&](uint64_t at) {
    const Changes::Run found = blocks.run_at(at, 10000 - at);
    return std::pair(at + found.length, found.may_differ);
  };
  CHECK(run(0) == std::pair<uint64_t, bool>(512, true));
  CHECK(run(300) == std::pair<uint64_t, bool>(512, true));
  CHECK(run(512) == std::pair<uint64_t, bool>(4608, false));
  CHECK(run(4608) == std::pair<uint64_t, bool>(5120, true));
  CHECK(run(5120) == std::pair<uint64_t, bool>(10000, false));
  CHECK(blocks.run_at(700, 10).length == 10);
}

TEST_CASE("layers of a chain are states, the lowest one first", "[history]") {
  class Layer : public StateSource, public Overlay {
   public:
    Layer(const std::shared_ptr<const StateSource>& below, uint64_t at, char letter)
        : StateSource(written(below->bytes(), at, letter)), below_(below), at_(at) {}
    std::shared_ptr<const Source> below() const override { return below_; }
    Changes::Run own_run_at(uint64_t offset, uint64_t max) const override {
      if (offset < at_) {
        return {std::min(max, at_ - offset), false};
      }
      return offset < at_ + kUnit ? Changes::Run{std::min(max, at_ + kUnit - offset), true}
                                  : Changes::Run{max, false};
    }

   private:
    static Bytes written(Bytes bytes, uint64_t at, char letter) {
      std::memset(bytes.data() + at, letter, kUnit);
      return bytes;
    }
    const std::shared_ptr<const Source> below_;
    const uint64_t at_;
  };
  const auto base = std::make_shared<StateSource>(Bytes(64 * kUnit, std::byte{'A'}));
  const auto middle = std::make_shared<Layer>(base, 8 * kUnit, 'B');
  const auto top = std::make_shared<Layer>(middle, 32 * kUnit, 'C');
  const std::unique_ptr<Source> source = layers_as_history(top);
  StatesTarget target(base->size());
  transfer_history(*source, {0, 1}, target, {.verify = Verify::kYes});
  require_states(target, {base->bytes(), middle->bytes(), top->bytes()}, {0, 1});
  CHECK(target.bytes_written == 64 * kUnit + 2 * 8192);
}

}  // namespace
}  // namespace vmferry::test
