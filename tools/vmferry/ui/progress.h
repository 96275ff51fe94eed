// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tools/vmferry/ui/session.h"
#include "vmferry/copy.h"
#include "vmferry/observer.h"

namespace vmferry::cli {

/// --progress: kAuto is a bar on a terminal and nothing elsewhere.
enum class ProgressStyle { kAuto, kBar, kJson, kNone };

/// Shows how far a copy or comparison is, on stderr, while it lives. Done and total are data, not
/// virtual size; the total is measured in the background.
class ProgressDisplay {
 public:
  /// `what` names the work: "convert", "verify". `sources` are measured for the total. None: the
  /// counters have it. All of them must outlive this.
  ProgressDisplay(Session& session, ProgressStyle style, std::string what, const Progress& counters,
                  std::vector<const Source*> sources);
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  /// Clears the bar; a JSON display writes its last line. Who does not read misses that.
  ~ProgressDisplay();

  /// Bytes of memory a second that a migrating guest writes; shown unless 0.
  void set_dirty_rate(uint64_t bytes) { dirty_rate_ = bytes; }

 private:
  void measure_beside(std::vector<const Source*> sources);
  void draw() noexcept;
  void draw_bar(double seconds);
  void draw_json(double seconds);
  /// How long it has waited for a store, if that is worth telling.
  std::optional<std::chrono::seconds> waiting() const;
  /// Nothing: not known yet.
  std::optional<uint64_t> total() const;

  Session& session_;
  ProgressStyle style_;
  const std::string what_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const Progress& counters_;
  const bool is_measured_;
  Progress measured_;
  std::atomic<uint64_t> dirty_rate_ = 0;
  bool drawn_ = false;
  std::jthread measurer_;
};

/// Shows each phase of some work.
class ProgressObserver : public Observer {
 public:
  ProgressObserver(Session& session, ProgressStyle style) : session_(session), style_(style) {}

  void phase_began(const std::string& phase, const Progress& counters,
                   const std::vector<const Source*>& sources) override {
    display_.emplace(session_, style_, phase, counters, sources);
  }
  void phase_ended() override { display_.reset(); }

 private:
  Session& session_;
  const ProgressStyle style_;
  std::optional<ProgressDisplay> display_;
};

}  // namespace vmferry::cli
