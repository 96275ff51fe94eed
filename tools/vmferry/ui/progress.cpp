// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "lib/core/threads.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

constexpr unsigned kNarrowestTerminal = 40;
constexpr std::chrono::seconds kLongSilence{10};

std::string duration(double seconds) {
  const auto whole = static_cast<long>(std::llround(seconds));
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

/// Adds up several sources; what cannot be measured leaves the total unknown, the copy itself will
/// tell why.
void measure_all(const std::vector<const Source*>& sources, std::stop_token stop, Progress& into) {
  try {
    Progress sum;
    for (const Source* source : sources) {
      sum.total_known = false;
      measure(*source, stop, sum);
      if (!sum.total_known) {
        return;
      }
    }
    into.data_total = sum.data_total.load();
    into.total_known = true;
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace

ProgressDisplay::ProgressDisplay(Session& session, ProgressStyle style, std::string what,
                                 const Progress& counters, std::vector<const Source*> sources)
    : session_(session),
      style_(style),
      what_(std::move(what)),
      counters_(counters),
      is_measured_(!sources.empty()) {
  if (style_ == ProgressStyle::kAuto) {
    style_ = ::isatty(STDERR_FILENO) != 0 ? ProgressStyle::kBar : ProgressStyle::kNone;
  }
  if (style_ == ProgressStyle::kNone) {
    return;
  }
  if (is_measured_) {
    measure_beside(std::move(sources));
  }
  session_.begin_ticks([this] { draw(); });
}

ProgressDisplay::~ProgressDisplay() {
  if (style_ == ProgressStyle::kNone) {
    return;
  }
  session_.end_ticks();
  if (style_ == ProgressStyle::kJson) {
    draw();
  }
  if (style_ == ProgressStyle::kBar && drawn_ && can_say_now()) {
    say("\r\033[K");
  }
}

/// Where there is no thread for it, the work is worth more than its total.
void ProgressDisplay::measure_beside(std::vector<const Source*> sources) {
  try {
    measurer_ = start_thread([this, sources = std::move(sources)](std::stop_token stop) {
      measure_all(sources, stop, measured_);
    });
  } catch (const std::exception&) {
    measured_.total_known = false;
  }
}

std::optional<uint64_t> ProgressDisplay::total() const {
  const Progress& known = is_measured_ ? measured_ : counters_;
  return known.total_known ? std::optional(known.data_total.load()) : std::nullopt;
}

std::optional<std::chrono::seconds> ProgressDisplay::waiting() const {
  const auto silence = counters_.silent_for ? counters_.silent_for() : std::chrono::milliseconds(0);
  return silence >= kLongSilence
             ? std::optional(std::chrono::duration_cast<std::chrono::seconds>(silence))
             : std::nullopt;
}

void ProgressDisplay::draw() noexcept {
  if (!can_say_now()) {
    return;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  try {
    if (style_ == ProgressStyle::kJson) {
      draw_json(elapsed.count());
    } else {
      draw_bar(elapsed.count());
    }
    drawn_ = true;
  } catch (const std::exception&) {
    // Short of memory, which the work itself will tell.
  }
}

void ProgressDisplay::draw_bar(double seconds) {
  const uint64_t done = counters_.data_done;
  const double rate = static_cast<double>(done) / std::max(seconds, 0.001);
  const auto width = static_cast<int>(std::max(kNarrowestTerminal, terminal_width(STDERR_FILENO)));
  std::string tail;
  std::string bar;
  if (const auto silence = waiting()) {
    tail = fmt::format("  {}, waiting for the store since {}", about_bytes(done),
                       duration(static_cast<double>(silence->count())));
  } else if (const std::optional<uint64_t> known = total()) {
    const uint64_t total = std::max(*known, done);
    const double share = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
    const double left = rate > 0 ? static_cast<double>(total - done) / rate : 0;
    tail =
        fmt::format(" {:3.0f}%  {} of {}  {}/s  ETA {}", share * 100, about_bytes(done),
                    about_bytes(total), about_bytes(static_cast<uint64_t>(rate)), duration(left));
    if (dirty_rate_ != 0) {
      tail += fmt::format("  dirty {}/s", about_bytes(dirty_rate_));
    }
    const int room = width - 4 - static_cast<int>(what_.size() + tail.size());
    if (room >= 8) {
      const int full = static_cast<int>(share * room);
      bar = fmt::format(" [{:#<{}}{:.<{}}]", "", full, "", room - full);
    }
  } else {
    tail = fmt::format("  {}  {}/s", about_bytes(done), about_bytes(static_cast<uint64_t>(rate)));
  }
  const std::string line = (what_ + bar + tail).substr(0, static_cast<size_t>(width - 1));
  say(fmt::format("\r{}\033[K", line));
}

void ProgressDisplay::draw_json(double seconds) {
  nlohmann::ordered_json line = {{"phase", what_}, {"data_done_bytes", counters_.data_done.load()}};
  if (const std::optional<uint64_t> known = total()) {
    line["data_total_bytes"] = *known;
  }
  line["written_bytes"] = counters_.bytes_written.load();
  if (dirty_rate_ != 0) {
    line["dirty_bytes_per_second"] = dirty_rate_.load();
  }
  if (const auto silence = waiting()) {
    line["waiting_seconds"] = silence->count();
  }
  line["seconds"] = std::round(seconds * 1000) / 1000;
  say(json_text(line) + "\n");
}

}  // namespace vmferry::cli
