// Body framing: counted bytes, chunks with their extensions and trailers, or everything until the connection ends.
#include <algorithm>

#include "runtime/http/characters.hpp"
#include "runtime/http/parser.hpp"

namespace swarm::http {
namespace {

constexpr std::size_t trailer_bytes_max = 8 * 1024;
// As Go's net/http since 1.22: each chunk may cost 16 bytes of framing, and framing may not outweigh data by more than this.
constexpr std::int64_t excess_bytes_max = 16 * 1024;
constexpr std::int64_t chunk_overhead_free = 16;

int hex_value(char c) {
  if (is_digit(c))
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

} // namespace

void body_decoder::reset(framing f) {
  *this = body_decoder{};
  switch (f.kind) {
    case body_kind::none: break;
    case body_kind::until_close: state_ = state::until_close; break;
    case body_kind::chunked: state_ = state::size_start; break;
    case body_kind::length:
      left_ = announced_ = f.length;
      state_ = f.length == 0 ? state::complete : state::fixed;
      break;
  }
}

void body_decoder::fail(std::string why) {
  state_ = state::failed;
  why_ = std::move(why);
}

bool body_decoder::end_of_input() {
  if (state_ == state::until_close)
    state_ = state::complete;
  return complete();
}

std::size_t body_decoder::feed(std::string_view in, std::string* out) {
  std::size_t used = 0;
  while (used < in.size() && !complete() && !failed()) {
    if (state_ == state::data || state_ == state::fixed || state_ == state::until_close) {
      auto n = in.size() - used;
      if (state_ == state::until_close)
        announced_ += n;
      else
        n = static_cast<std::size_t>(std::min<std::uint64_t>(n, left_));
      if (out)
        out->append(in.substr(used, n));
      used += n;
      if (state_ == state::until_close)
        continue;
      left_ -= n;
      if (left_ == 0)
        state_ = state_ == state::fixed ? state::complete : state::data_cr;
    } else {
      control(in[used++]);
    }
  }
  return used;
}

void body_decoder::control(char c) {
  switch (state_) {
    case state::data_cr:
      return c == '\r' ? void(state_ = state::data_lf) : fail("chunk data is not followed by CRLF");
    case state::data_lf:
      return c == '\n' ? void(state_ = state::size_start) : fail("chunk data is not followed by CRLF");
    case state::trailer:
      if (++trailer_bytes_ > trailer_bytes_max)
        return fail("trailers too large");
      line_ += c;
      return c == '\n' ? end_of_trailer_line() : void();
    default:
      if (++line_bytes_ > chunk_line_bytes_max)
        return fail("chunk size line too long");
      return state_ == state::size_start || state_ == state::size || state_ == state::size_lf ? control_size(c)
                                                                                             : control_extension(c);
  }
}

void body_decoder::control_size(char c) {
  if (state_ == state::size_lf)
    return c == '\n' ? end_of_size_line() : fail("chunk size line does not end with CRLF");
  const int digit = hex_value(c);
  if (digit >= 0) {
    if (left_ >> 60 != 0)
      return fail("chunk size too large");
    left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
    state_ = state::size;
    return;
  }
  if (state_ == state::size_start)
    return fail("malformed chunk size");
  if (c == '\r')
    state_ = state::size_lf;
  else if (c == ';')
    state_ = state::ext_name_start;
  else
    fail("malformed chunk size");
}

// *( ";" token [ "=" ( token / quoted-string ) ] ), without the optional blanks that RFC 9112 calls bad.
void body_decoder::control_extension(char c) {
  const auto separator = [&] {
    if (c == '\r')
      state_ = state::size_lf;
    else if (c == ';')
      state_ = state::ext_name_start;
    else
      fail("malformed chunk extension");
  };
  switch (state_) {
    case state::ext_name_start:
    case state::ext_name:
      if (is_token(c))
        state_ = state::ext_name;
      else if (state_ == state::ext_name_start)
        fail("malformed chunk extension");
      else if (c == '=')
        state_ = state::ext_value_start;
      else
        separator();
      return;
    case state::ext_value_start:
      if (c == '"')
        state_ = state::ext_quoted;
      else if (is_token(c))
        state_ = state::ext_value;
      else
        fail("malformed chunk extension");
      return;
    case state::ext_value:
      if (!is_token(c))
        separator();
      return;
    case state::ext_quoted:
      if (c == '"')
        state_ = state::ext_end;
      else if (c == '\\')
        state_ = state::ext_escape;
      else if (!is_field_value(c))
        fail("malformed chunk extension");
      return;
    case state::ext_escape:
      if (!is_field_value(c))
        return fail("malformed chunk extension");
      state_ = state::ext_quoted;
      return;
    default:
      separator();
  }
}

void body_decoder::end_of_size_line() {
  excess_ += static_cast<std::int64_t>(line_bytes_) - chunk_overhead_free
             - 2 * static_cast<std::int64_t>(std::min<std::uint64_t>(left_, 1u << 30));
  excess_ = std::max<std::int64_t>(excess_, 0);
  line_bytes_ = 0;
  if (excess_ > excess_bytes_max)
    return fail("chunked encoding contains too much non-data");
  if (left_ == 0) {
    state_ = state::trailer;
    return;
  }
  if (announced_ + left_ < announced_)
    return fail("chunk size too large");
  announced_ += left_;
  state_ = state::data;
}

void body_decoder::end_of_trailer_line() {
  std::string line;
  line.swap(line_);
  if (line.size() < 2 || line[line.size() - 2] != '\r')
    return fail("trailer line does not end with CRLF");
  if (line.size() == 2) {
    state_ = state::complete;
    return;
  }
  field ignored;
  std::string why;
  if (!parse_field(std::string_view{line}.substr(0, line.size() - 2), ignored, why))
    fail(std::move(why));
}

} // namespace swarm::http
