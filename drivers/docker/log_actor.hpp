// One reader of one container's log: streams lines as far as the reader has granted credit.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "drivers/docker/engine_client.hpp"
#include "drivers/docker/log_demux.hpp"
#include "drivers/log_window.hpp"
#include "messages/interfaces.hpp"
#include "runtime/observed.hpp"

namespace swarm::docker {

/// From the I/O threads: what the engine sent.
struct log_news {
  enum class kind : std::uint8_t { inspected, bytes, ended };
  kind what = kind::bytes;
  std::string bytes;
  int status = 0;
  std::string error;
};

/// LOG READER — child of the docker driver, one per subscription; ends with the chunk whose end is set.
/// | from   | message    | meaning                        | reply | errors |
/// |--------|------------|--------------------------------|-------|--------|
/// | DRIVER | LogCredit  | that many bytes more           | –     | –      |
/// | DRIVER | CancelLogs | the reader is gone             | –     | –      |
/// | self   | log_news   | from the I/O threads           | –     | –      |
using log_reader_actor = caf::typed_actor<caf::reacts_to<LogCredit>, caf::reacts_to<CancelLogs>, caf::reacts_to<log_news>,
                                          status_clause>;

struct log_reader_options {
  ReadTaskLogs request;
  std::string container; ///< id; "" is answered with an error
  std::string prefix;
  duration deadline = seconds{10};
};

struct log_reader_state {
  static inline const char* name = "log_reader";
  log_reader_options opts;
  log_sink sink;
  std::shared_ptr<engine_client> engine;
  std::unique_ptr<log_demux> demux;
  std::unique_ptr<driver::log_window> window;
  std::shared_ptr<http::client_stream> stream;
  /// Bytes that the I/O thread has handed over and that are still held here: it pauses above a bound.
  std::shared_ptr<std::atomic<std::size_t>> under_way;
  std::size_t taken = 0; ///< of them: in the window; given back when that has room
  int status = 0;
  std::string error_body;
  ~log_reader_state() {
    if (stream)
      stream->cancel();
  }
};

log_reader_actor::behavior_type log_reader(observed_ptr<log_reader_actor, log_reader_state> self, log_reader_options opts,
                                           log_sink sink, std::shared_ptr<engine_client> engine);

} // namespace swarm::docker

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(swarm::docker::log_news)
