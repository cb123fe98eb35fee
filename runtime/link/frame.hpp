// Frames of a link as bytes: 4 bytes of length (big-endian), then an Envelope. Length 0 is a keepalive. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "messages/link.pb.h"

namespace swarm::link {

inline constexpr std::size_t frame_header_bytes = 4;

/// What is said in LinkHello. Peers of another major version are refused; a higher minor only adds.
inline constexpr std::uint32_t protocol_major = 1;
inline constexpr std::uint32_t protocol_minor = 0;

/// The whole frame. The envelope must be smaller than 4 GiB.
[[nodiscard]] std::string encode_frame(const Envelope& envelope);
[[nodiscard]] std::string keepalive_frame();

/// Cuts a stream of bytes into envelopes. Holds at most one frame and what was fed after it: a length alone, however
/// large it claims to be, allocates nothing.
class frame_reader {
public:
  enum class outcome : std::uint8_t { envelope, need_more, too_large, malformed };

  explicit frame_reader(std::size_t frame_bytes_max) : max_{frame_bytes_max} {}
  void set_max(std::size_t frame_bytes_max) { max_ = frame_bytes_max; }

  void feed(std::string_view bytes) { buffer_.append(bytes); }
  /// After too_large and malformed the stream is lost: the same is answered for ever.
  [[nodiscard]] outcome next(Envelope& out);

  [[nodiscard]] std::size_t buffered() const { return buffer_.size() - at_; }
  [[nodiscard]] std::uint64_t keepalives() const { return keepalives_; }

private:
  void drop_consumed();

  std::size_t max_;
  std::string buffer_;
  std::size_t at_ = 0;
  std::uint64_t keepalives_ = 0;
  outcome broken_ = outcome::need_more; ///< too_large or malformed once that happened
};

} // namespace swarm::link
