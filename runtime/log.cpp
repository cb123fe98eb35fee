// Renders events in the calling thread and hands the lines to spdlog's bounded queue; one thread writes them out.
#include "runtime/log.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include <spdlog/async.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include "runtime/text.hpp"

namespace swarm::log {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto drain_limit = std::chrono::seconds{1};
constexpr std::size_t value_bytes_max = 4096; // with queue_lines, this bounds what waiting lines can occupy
constexpr std::array<std::string_view, 5> level_names{"debug", "info", "warn", "error", "off"};

// RFC 5424 severities as sd-daemon(3) wants them in front of a line.
std::string_view journald_prefix(level severity) {
  switch (severity) {
    case level::debug: return "<7>";
    case level::info: return "<6>";
    case level::warn: return "<4>";
    default: return "<3>";
  }
}

/// Writes whole lines to a file descriptor that somebody else may have stopped reading: waits with poll, so that
/// stop() can give up on it.
class fd_sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
  explicit fd_sink(int fd) : fd_{fd} {}

  void give_up_at(clock::time_point when) { give_up_.store(when.time_since_epoch().count()); }
  [[nodiscard]] std::uint64_t handled() const { return handled_.load(); }

protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    put(std::string_view{msg.payload.data(), msg.payload.size()});
    ++handled_;
  }
  void flush_() override {}

private:
  // poll() promises room for one PIPE_BUF in a pipe, hence the slices.
  void put(std::string_view line) {
    constexpr std::size_t slice = 4096;
    while (!line.empty()) {
      pollfd ready{fd_, POLLOUT, 0};
      const bool late = clock::now().time_since_epoch().count() > give_up_.load();
      if (::poll(&ready, 1, late ? 0 : 50) <= 0) {
        if (late)
          return;
        continue;
      }
      const auto n = ::write(fd_, line.data(), std::min(line.size(), slice));
      if (n > 0)
        line.remove_prefix(static_cast<std::size_t>(n));
      else if (errno != EINTR && errno != EAGAIN)
        return; // the reader is gone; there is nobody to tell
    }
  }

  int fd_;
  std::atomic<clock::rep> give_up_{std::numeric_limits<clock::rep>::max()};
  std::atomic<std::uint64_t> handled_{0};
};

struct writer {
  std::shared_ptr<fd_sink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
  std::atomic<std::uint64_t> submitted{0};
  std::atomic<std::uint64_t> reported{0}; // drops already told in a line
};

struct globals {
  std::shared_mutex mutex; // guards running and node
  std::unique_ptr<writer> running;
  std::string node;
  std::atomic<level> threshold{level::info};
  std::atomic<format> how{format::text};
  std::atomic<bool> prefix{false};
  std::atomic<std::uint64_t> dropped_before{0}; // by writers that were stopped
  std::array<std::atomic<std::uint64_t>, 5> counts{};
};

globals& state() {
  static globals instance;
  return instance;
}

std::int64_t wall_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Length of the well-formed UTF-8 sequence at s[i], 0 when malformed (overlong forms and surrogates count as such).
std::size_t utf8_length(std::string_view s, std::size_t i) {
  const auto at = [&](std::size_t k) { return k < s.size() ? static_cast<unsigned char>(s[k]) : 0U; };
  const auto tail = [&](std::size_t k) { return (at(k) & 0xC0U) == 0x80U; };
  const auto c = at(i);
  if (c < 0x80)
    return 1;
  if (c >= 0xC2 && c <= 0xDF)
    return tail(i + 1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    const bool bad = (c == 0xE0 && at(i + 1) < 0xA0) || (c == 0xED && at(i + 1) > 0x9F);
    return !bad && tail(i + 1) && tail(i + 2) ? 3 : 0;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    const bool bad = (c == 0xF0 && at(i + 1) < 0x90) || (c == 0xF4 && at(i + 1) > 0x8F);
    return !bad && tail(i + 1) && tail(i + 2) && tail(i + 3) ? 4 : 0;
  }
  return 0;
}

// In double quotes, valid in JSON and in Go's %q alike.
void append_quoted(std::string& out, std::string_view s) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  for (std::size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const auto length = utf8_length(s, i);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += s[i++];
    } else if (c == '\n' || c == '\t' || c == '\r') {
      out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
      ++i;
    } else if (c < 0x20 || c == 0x7F) {
      out += "\\u00";
      out += hex[c >> 4];
      out += hex[c & 15];
      ++i;
    } else if (length == 0) {
      out += "\\ufffd";
      ++i;
    } else {
      out += s.substr(i, length);
      i += length;
    }
  }
  out += '"';
}

bool is_bare(std::string_view s) {
  if (s.empty())
    return false;
  for (const char ch : s) {
    const auto c = static_cast<unsigned char>(ch);
    if (c <= 0x20 || c >= 0x7F || c == '"' || c == '=' || c == '\\')
      return false;
  }
  return true;
}

// A value that is too long keeps its head and says how long it was.
std::string cut(const std::string& s) {
  if (s.size() <= value_bytes_max)
    return s;
  return s.substr(0, value_bytes_max) + "... (" + std::to_string(s.size()) + " bytes)";
}

void append_bare_or_quoted(std::string& out, std::string_view s) {
  if (is_bare(s))
    out += s;
  else
    append_quoted(out, s);
}

std::string render_text(const record& what) {
  std::string out = text::rfc3339_nano_fixed(what.wall_ns);
  out += ' ';
  out += to_string(what.severity);
  for (const auto word : {what.node.empty() ? std::string_view{"-"} : what.node, what.actor, what.event}) {
    out += ' ';
    append_bare_or_quoted(out, word);
  }
  for (const auto& [key, val] : what.extra) {
    out += ' ';
    append_bare_or_quoted(out, key);
    out += '=';
    append_bare_or_quoted(out, cut(val.text()));
  }
  return out;
}

std::string render_json(const record& what) {
  constexpr std::array<std::string_view, 5> own{"time", "level", "node", "actor", "event"};
  std::string out = "{\"time\":\"" + text::rfc3339_nano_fixed(what.wall_ns) + "\",\"level\":\"";
  out += to_string(what.severity);
  out += "\",\"node\":";
  append_quoted(out, what.node);
  out += ",\"actor\":";
  append_quoted(out, what.actor);
  out += ",\"event\":";
  append_quoted(out, what.event);
  for (const auto& [key, val] : what.extra) {
    out += ',';
    // A key of ours would appear twice, which readers resolve differently.
    const bool taken = std::find(own.begin(), own.end(), key) != own.end();
    append_quoted(out, taken ? std::string{key} + "_" : std::string{key});
    out += ':';
    if (val.quoted())
      append_quoted(out, cut(val.text()));
    else
      out += val.text();
  }
  return out + "}";
}

void write_directly(int fd, std::string_view line) {
  // The result does not matter: there is no other place to complain to.
  [[maybe_unused]] const auto n = ::write(fd, line.data(), line.size());
}

// Tells about lost lines in the stream itself, once per growth of the counter.
void report_drops(writer& w, const std::string& node) {
  const auto lost = w.pool->overrun_counter();
  auto told = w.reported.load();
  if (lost == told || !w.reported.compare_exchange_strong(told, lost))
    return;
  auto line = render({wall_now(), level::warn, node, "log", "lines_dropped", {{"lost", lost - told}}}, state().how);
  if (state().prefix)
    line.insert(0, journald_prefix(level::warn));
  w.logger->log(spdlog::level::critical, line + "\n");
  ++w.submitted;
}

void wait_written(const writer& w, clock::time_point deadline) {
  const auto goal = w.submitted.load();
  while (w.sink->handled() + w.pool->overrun_counter() < goal && clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
}

} // namespace

std::string_view to_string(level value) {
  return level_names[static_cast<std::size_t>(value)];
}

std::string_view to_string(format value) {
  return value == format::json ? "json" : "text";
}

std::optional<level> parse_level(std::string_view name) {
  for (std::size_t i = 0; i < level_names.size(); ++i)
    if (level_names[i] == name)
      return static_cast<level>(i);
  if (name == "warning") // dockerd's spelling
    return level::warn;
  return std::nullopt;
}

std::optional<format> parse_format(std::string_view name) {
  if (name == "text")
    return format::text;
  if (name == "json")
    return format::json;
  return std::nullopt;
}

value::value(double number) {
  if (!std::isfinite(number)) { // JSON has no such numbers
    text_ = std::isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf";
    quoted_ = true;
    return;
  }
  std::array<char, 32> digits{};
  const auto [end, ec] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  text_.assign(digits.data(), end);
}

value::value(const failure& error)
    : text_{std::string{swarm::to_string(error.code)} + (error.message.empty() ? "" : ": " + error.message)},
      quoted_{true} {}

std::string render(const record& what, format how) {
  return how == format::json ? render_json(what) : render_text(what);
}

bool journald_wanted(int fd) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat info {};
  if (stream == nullptr || ::fstat(fd, &info) != 0)
    return false;
  return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
}

void start(const options& opts) {
  stop();
  auto fresh = std::make_unique<writer>();
  fresh->sink = std::make_shared<fd_sink>(opts.fd);
  fresh->pool = std::make_shared<spdlog::details::thread_pool>(opts.queue_lines, 1);
  // Old lines make room for new ones: after a flood, the last lines say how it ended.
  fresh->logger = std::make_shared<spdlog::async_logger>("swarm", fresh->sink, fresh->pool,
                                                         spdlog::async_overflow_policy::overrun_oldest);
  fresh->logger->set_level(spdlog::level::trace);
  auto& g = state();
  g.threshold = opts.threshold;
  g.how = opts.how;
  g.prefix = opts.journald_prefix;
  const std::unique_lock lock{g.mutex};
  g.node = opts.node;
  g.running = std::move(fresh);
}

void stop() {
  auto& g = state();
  std::unique_ptr<writer> last;
  {
    const std::unique_lock lock{g.mutex};
    last = std::move(g.running);
  }
  if (!last)
    return;
  const auto deadline = clock::now() + drain_limit;
  last->sink->give_up_at(deadline);
  wait_written(*last, deadline);
  g.dropped_before += last->pool->overrun_counter();
  last->logger.reset();
  last->pool.reset(); // joins the thread
}

void flush() {
  auto& g = state();
  const std::shared_lock lock{g.mutex};
  if (g.running)
    wait_written(*g.running, clock::now() + drain_limit);
}

void set_level(level threshold) { state().threshold = threshold; }
void set_format(format how) { state().how = how; }

void set_node(std::string node) {
  const std::unique_lock lock{state().mutex};
  state().node = std::move(node);
}

bool enabled(level severity) { return severity != level::off && severity >= state().threshold.load(); }

std::uint64_t dropped() {
  auto& g = state();
  const std::shared_lock lock{g.mutex};
  return g.dropped_before + (g.running ? g.running->pool->overrun_counter() : 0);
}

std::uint64_t count(level severity) { return state().counts[static_cast<std::size_t>(severity)]; }

void write(level severity, std::string_view actor, std::string_view event, fields extra) {
  auto& g = state();
  ++g.counts[static_cast<std::size_t>(severity)];
  if (!enabled(severity))
    return;
  const std::shared_lock lock{g.mutex};
  auto line = render({wall_now(), severity, g.node, actor, event, extra}, g.how);
  if (g.prefix)
    line.insert(0, journald_prefix(severity));
  line += '\n';
  if (!g.running) {
    write_directly(2, line);
    return;
  }
  report_drops(*g.running, g.node);
  g.running->logger->log(spdlog::level::critical, line); // spdlog's own levels and patterns are not used
  ++g.running->submitted;
}

} // namespace swarm::log
