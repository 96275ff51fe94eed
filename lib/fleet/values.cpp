// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "lib/fleet/moves.h"
#include "vmferry/error.h"

namespace vmferry {
namespace fleet {
namespace {

using nlohmann::json;

constexpr size_t kLongestText = 2000;  // of a message: the object stays small
constexpr std::array<std::pair<FleetJobState, const char*>, 6> kStates = {
    {{FleetJobState::kPending, "pending"},
     {FleetJobState::kRunning, "running"},
     {FleetJobState::kPaused, "paused"},
     {FleetJobState::kDone, "done"},
     {FleetJobState::kFailed, "failed"},
     {FleetJobState::kCancelled, "cancelled"}}};

Error damaged(const std::string& what, const std::string& cause) {
  return Error({.kind = ErrorKind::kCorrupt,
                .object = what,
                .action = "read its state",
                .cause = "not written by a vmferry: " + cause});
}

json parse(const std::string& text, const std::string& what) {
  json value = json::parse(text, nullptr, false);
  if (!value.is_object()) {
    throw damaged(what, text.substr(0, 80));
  }
  return value;
}

/// What `take` makes of a value, whose members have to be of the right kinds.
template <typename Take>
auto taken(const std::string& text, const std::string& what, Take take) {
  const json value = parse(text, what);
  try {
    return take(value);
  } catch (const json::exception& error) {
    throw damaged(what, error.what());
  }
}

/// Zero and empty texts are left out: a job takes some 150 bytes.
void put(json& value, const char* key, const std::string& text) {
  if (!text.empty()) {
    value[key] = text.substr(0, kLongestText);
  }
}
void put(json& value, const char* key, int64_t number) {
  if (number != 0) {
    value[key] = number;
  }
}

/// A job that does not run has none.
void put(json& value, const JobSlots& slots) {
  if (slots.of_fleet != 0) {
    value["slots"] = {slots.of_fleet, slots.of_host, slots.of_target};
  }
}
JobSlots slots_in(const json& value) {
  const json& slots = value.at("slots");
  return {.of_fleet = slots.at(0), .of_host = slots.at(1), .of_target = slots.at(2)};
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

FleetJobState state_of(const std::string& word, const std::string& what) {
  for (const auto& [state, name] : kStates) {
    if (word == name) {
      return state;
    }
  }
  throw damaged(what, "a job is '" + word + "'");
}

}  // namespace

std::string numbered(const char* prefix, unsigned number) {
  return fmt::format("{}{:06}", prefix, number);
}

unsigned number_of(const std::string& key, const std::string& what) {
  const size_t slash = key.rfind('/');
  const char* begin = key.data() + (slash == std::string::npos ? 0 : slash + 1);
  const char* end = key.data() + key.size();
  unsigned number = 0;
  const auto [stop, error] = std::from_chars(begin, end, number);
  if (error != std::errc() || stop != end) {
    throw damaged(what, "a key is '" + key + "'");
  }
  return number;
}

std::string pending_prefix(const std::string& host, unsigned wave) {
  return wave == 0 ? fmt::format("pending/{}/", host)
                   : fmt::format("pending/{}/{:06}/", host, wave);
}

std::string pending_key(const std::string& host, unsigned wave, unsigned number) {
  return numbered(pending_prefix(host, wave).c_str(), number);
}

std::string pending_value(const FleetJobStatus& job) {
  const bool is_synced = job.synced && job.asked != "cancel";  // that need not wait for its hours
  return (is_synced ? "+" : job.attempts > 0 ? "!" : ">") + job.target_host;
}

std::string text_of(const Control& control, const std::string& mark) {
  json value = {{"state", control.state}, {"submitted", control.submitted}, {"mark", mark}};
  put(value, "why", control.why);
  return dump(value);
}

std::string text_of(const Count& count) {
  json left = json::object();
  for (const auto& [wave, jobs] : count.left) {
    left[std::to_string(wave)] = jobs;
  }
  return dump({{"left", left}});
}

std::string text_of(const FleetJobStatus& job, const std::string& mark, const JobSlots& slots) {
  json value = {
      {"state", word_of(job.state)}, {"guest", job.guest}, {"host", job.host}, {"wave", job.wave},
      {"number", job.number},        {"mark", mark}};
  put(value, "target_host", job.target_host);
  put(value, "data", static_cast<int64_t>(job.data));
  put(value, "synced", int64_t{job.synced});
  put(value, "attempts", job.attempts);
  put(value, "deaths", job.deaths);
  put(value, "worker", job.worker);
  put(value, "asked", job.asked);
  put(value, "began", job.began);
  put(value, "ended", job.ended);
  put(value, "before", static_cast<int64_t>(job.before));
  put(value, "after", static_cast<int64_t>(job.after));
  put(value, "error", job.error);
  put(value, "hint", job.hint);
  put(value, slots);
  return dump(value);
}

std::string text_of(const RunningJob& job) {
  json value = {{"number", job.number}, {"host", job.host}, {"worker", job.worker}};
  put(value, job.slots);
  put(value, "target_host", job.target_host);
  put(value, "phase", job.progress.phase);
  put(value, "done", static_cast<int64_t>(job.progress.done));
  put(value, "total", static_cast<int64_t>(job.progress.total));
  put(value, "rate", static_cast<int64_t>(job.progress.rate));
  put(value, "told", job.progress.told);
  return dump(value);
}

std::string text_of(const FleetWorkerStatus& worker) {
  json value = {{"host", worker.host}, {"since", worker.since}};
  put(value, "waiting", worker.waiting);
  return dump(value);
}

Control control_of(const std::string& text, const std::string& what) {
  return taken(text, what, [](const json& value) {
    return Control{.state = value.at("state"),
                   .why = value.value("why", ""),
                   .submitted = value.value("submitted", int64_t{0})};
  });
}

Count count_of(const std::string& text, const std::string& what) {
  return taken(text, what, [&](const json& value) {
    Count count;
    for (const auto& [wave, jobs] : value.at("left").items()) {
      if (jobs.get<unsigned>() > 0) {
        count.left[number_of(wave, what)] = jobs;
      }
    }
    return count;
  });
}

FleetJobStatus job_of(const std::string& text, const std::string& what) {
  return taken(text, what, [&](const json& value) {
    FleetJobStatus job;
    job.number = value.at("number");
    job.guest = value.at("guest");
    job.host = value.at("host");
    job.target_host = value.value("target_host", "");
    job.wave = value.at("wave");
    job.data = value.value("data", uint64_t{0});
    job.state = state_of(value.at("state"), what);
    job.synced = value.value("synced", 0) != 0;
    job.attempts = value.value("attempts", 0U);
    job.deaths = value.value("deaths", 0U);
    job.worker = value.value("worker", "");
    job.asked = value.value("asked", "");
    job.began = value.value("began", int64_t{0});
    job.ended = value.value("ended", int64_t{0});
    job.before = value.value("before", uint64_t{0});
    job.after = value.value("after", uint64_t{0});
    job.error = value.value("error", "");
    job.hint = value.value("hint", "");
    return job;
  });
}

JobSlots slots_of(const std::string& text, const std::string& what) {
  return taken(text, what, [](const json& value) { return slots_in(value); });
}

RunningJob running_of(const std::string& text, const std::string& what) {
  return taken(text, what, [](const json& value) {
    return RunningJob{.number = value.at("number"),
                      .slots = slots_in(value),
                      .host = value.at("host"),
                      .target_host = value.value("target_host", ""),
                      .worker = value.at("worker"),
                      .progress = {.phase = value.value("phase", ""),
                                   .done = value.value("done", uint64_t{0}),
                                   .total = value.value("total", uint64_t{0}),
                                   .rate = value.value("rate", uint64_t{0}),
                                   .told = value.value("told", int64_t{0})}};
  });
}

FleetWorkerStatus worker_of(const std::string& key, const std::string& text,
                            const std::string& what) {
  return taken(text, what, [&](const json& value) {
    return FleetWorkerStatus{.id = key.substr(key.rfind('/') + 1),
                             .host = value.at("host"),
                             .since = value.value("since", int64_t{0}),
                             .waiting = value.value("waiting", "")};
  });
}

void add_space(const std::string& record, FleetJobStatus& job) {
  for (const FleetMovedDisk& disk : move_of(record).disks) {
    job.before += disk.before.allocated_bytes;
    job.after += disk.after.allocated_bytes;
  }
}

}  // namespace fleet

std::string word_of(FleetJobState state) {
  for (const auto& [each, name] : fleet::kStates) {
    if (state == each) {
      return name;
    }
  }
  return {};
}

}  // namespace vmferry
