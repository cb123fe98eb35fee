// Lengths and envelopes, see the header.
#include "runtime/link/frame.hpp"

namespace swarm::link {

namespace {

constexpr std::size_t keep_capacity = 256 * 1024; // more than this is given back when nothing is buffered

void put_length(char* to, std::uint32_t size) {
  for (int i = 0; i < 4; ++i)
    to[i] = static_cast<char>((size >> (24 - 8 * i)) & 0xff);
}

std::uint32_t read_length(const char* from) {
  std::uint32_t size = 0;
  for (int i = 0; i < 4; ++i)
    size = (size << 8) | static_cast<unsigned char>(from[i]);
  return size;
}

} // namespace

std::string encode_frame(const Envelope& envelope) {
  const auto size = envelope.ByteSizeLong();
  std::string out(frame_header_bytes + size, '\0');
  put_length(out.data(), static_cast<std::uint32_t>(size));
  envelope.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out.data() + frame_header_bytes));
  return out;
}

std::string keepalive_frame() { return std::string(frame_header_bytes, '\0'); }

frame_reader::outcome frame_reader::next(Envelope& out) {
  if (broken_ != outcome::need_more)
    return broken_;
  for (;;) {
    if (buffered() < frame_header_bytes) {
      drop_consumed();
      return outcome::need_more;
    }
    const std::size_t size = read_length(buffer_.data() + at_);
    if (size == 0) {
      at_ += frame_header_bytes;
      ++keepalives_;
      continue;
    }
    if (size > max_)
      return broken_ = outcome::too_large;
    if (buffered() < frame_header_bytes + size) {
      drop_consumed();
      return outcome::need_more;
    }
    if (!out.ParseFromArray(buffer_.data() + at_ + frame_header_bytes, static_cast<int>(size)))
      return broken_ = outcome::malformed;
    at_ += frame_header_bytes + size;
    return outcome::envelope;
  }
}

void frame_reader::drop_consumed() {
  if (at_ == 0)
    return;
  buffer_.erase(0, at_);
  at_ = 0;
  if (buffer_.empty() && buffer_.capacity() > keep_capacity)
    std::string{}.swap(buffer_);
}

} // namespace swarm::link
