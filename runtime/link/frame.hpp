// Frames of a link as bytes: 4 bytes of length (big-endian), then an Envelope. Length 0 is a keepalive. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/link.pb.h"

namespace swarm::link {

inline constexpr std::size_t frame_header_bytes = 4;

/// What is said in LinkHello. Peers of another major version are refused; a higher minor only adds.
inline constexpr std::uint32_t protocol_major = 1;
inline constexpr std::uint32_t protocol_minor = 0;

inline constexpr std::size_t part_bytes = 1 << 20;  ///< larger payloads travel in parts, so that others get between
inline constexpr std::size_t lanes = 3;              ///< classes of urgency; parts of two messages mix only across them

/// One frame. The envelope must be smaller than 4 GiB.
[[nodiscard]] std::string encode_frame(const Envelope& envelope);
/// One frame, or one for each part.
[[nodiscard]] std::vector<std::string> encode_frames(const Envelope& envelope, std::size_t lane);
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

/// Puts parts together again.
class assembler {
public:
  enum class outcome : std::uint8_t { whole, partial, too_large, malformed };

  /// 0: no parts are accepted at all.
  void set_max(std::size_t message_bytes_max) { max_ = message_bytes_max; }
  /// whole: the message is in `envelope`. partial: it was taken from there.
  [[nodiscard]] outcome take(Envelope& envelope);

private:
  std::size_t max_ = 0;
  std::array<std::optional<Envelope>, lanes> open_;
};

} // namespace swarm::link
