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

std::vector<std::string> encode_frames(const Envelope& envelope, std::size_t lane) {
  const std::string_view payload = envelope.payload();
  if (payload.size() <= part_bytes)
    return {encode_frame(envelope)};
  std::vector<std::string> out;
  for (std::size_t at = 0; at < payload.size(); at += part_bytes) {
    Envelope part;
    if (at == 0) {
      part.set_kind(envelope.kind());
      part.set_request_id(envelope.request_id());
      part.set_to(envelope.to());
      part.set_type(envelope.type());
      part.set_deadline(envelope.deadline());
      part.set_trace_id(envelope.trace_id());
    }
    part.set_payload(std::string{payload.substr(at, part_bytes)});
    part.set_part(static_cast<std::uint32_t>(lane + 1));
    part.set_more(at + part_bytes < payload.size());
    out.push_back(encode_frame(part));
  }
  return out;
}

assembler::outcome assembler::take(Envelope& envelope) {
  if (envelope.part() == 0)
    return envelope.more() ? outcome::malformed : outcome::whole;
  if (max_ == 0 || envelope.part() > lanes)
    return outcome::malformed;
  auto& open = open_[envelope.part() - 1];
  const bool more = envelope.more();
  if ((open ? open->payload().size() : 0) + envelope.payload().size() > max_)
    return outcome::too_large;
  if (open)
    open->mutable_payload()->append(envelope.payload());
  else
    open.emplace(std::move(envelope));
  if (more)
    return outcome::partial;
  envelope = std::move(*open);
  open.reset();
  envelope.set_part(0);
  envelope.set_more(false);
  return outcome::whole;
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
