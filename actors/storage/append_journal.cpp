// Records in a file of fixed size, each sealed for its epoch and place.
#include "actors/storage/append_journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/check.hpp"
#include "runtime/crypto/atomic_file.hpp"
#include "runtime/lmdb/error.hpp"

namespace swarm::storage {

namespace {

constexpr std::string_view table = "journal";
constexpr std::size_t number_size = 8;
constexpr std::size_t header_size = 2 * number_size + 4;

void put_number(char* out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<char>(value >> (8 * (size - 1 - i)));
}

std::uint64_t get_number(const char* in, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i)
    value = (value << 8) | static_cast<unsigned char>(in[i]);
  return value;
}

std::size_t blocks_of(std::size_t record) {
  return (record + append_journal::block - 1) / append_journal::block * append_journal::block;
}

struct record_header {
  std::uint64_t epoch;
  std::uint64_t sequence;
  std::size_t sealed_size;
};

record_header header_at(const std::string& file, std::size_t offset) {
  const auto* at = file.data() + offset;
  return {get_number(at, number_size), get_number(at + number_size, number_size), get_number(at + 2 * number_size, 4)};
}

} // namespace

append_journal::append_journal(const std::filesystem::path& path, std::size_t bytes, crypto::sealer& sealing)
    : path_{path.string()}, sealing_{sealing} {
  if (!std::filesystem::exists(path))
    if (const auto failed = crypto::replace_file(path, std::string(bytes, '\0'), 0600); !failed.ok())
      throw lmdb::storage_error{EIO, failed.message};
  fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ < 0)
    fail("open", errno);
  struct stat found {};
  const bool known = ::fstat(fd_, &found) == 0;
  bytes_ = known ? static_cast<std::size_t>(found.st_size) : 0;
  if (bytes_ == 0 || bytes_ % block != 0) {
    ::close(fd_);
    throw lmdb::storage_error{0, path_ + " is damaged: it has " + std::to_string(bytes_) + " bytes"};
  }
}

append_journal::~append_journal() { ::close(fd_); }

void append_journal::fail(const char* what, int error) const {
  throw lmdb::storage_error{error, std::string{what} + " " + path_ + ": " + std::strerror(error)};
}

std::vector<std::string> append_journal::read(std::uint64_t epoch) const {
  std::string file(bytes_, '\0');
  for (std::size_t at = 0; at < bytes_;) {
    const auto got = ::pread(fd_, file.data() + at, bytes_ - at, static_cast<off_t>(at));
    if (got <= 0)
      fail("read", got < 0 ? errno : EIO);
    at += static_cast<std::size_t>(got);
  }
  std::string plain;
  const auto is_good = [&](const record_header& header, std::size_t offset) {
    if (header.epoch != epoch || header.sealed_size > bytes_ - offset - header_size)
      return false;
    const std::string_view key{file.data() + offset, 2 * number_size};
    const std::string_view sealed{file.data() + offset + header_size, header.sealed_size};
    return sealing_.open(table, key, sealed, plain) == crypto::open_result::ok;
  };
  std::vector<std::string> out;
  std::size_t offset = 0;
  while (offset < bytes_) {
    const auto header = header_at(file, offset);
    if (header.sequence != out.size() || !is_good(header, offset))
      break;
    out.push_back(plain);
    offset += blocks_of(header_size + header.sealed_size);
  }
  // One that was cut off by a power failure is the last: nothing is written behind what is not on disk.
  for (; offset < bytes_; offset += block)
    if (const auto header = header_at(file, offset); header.sequence > out.size() && is_good(header, offset))
      throw lmdb::storage_error{0, path_ + ": record " + std::to_string(out.size()) + " is damaged, record " +
                                       std::to_string(header.sequence) + " behind it is not"};
  return out;
}

bool append_journal::has_room(std::size_t plain_bytes) const {
  return blocks_of(header_size + crypto::sealer::sealed_size(plain_bytes)) <= bytes_ - offset_;
}

void append_journal::write(std::uint64_t epoch, std::string_view plain) {
  SWARM_CHECK(has_room(plain.size()));
  const auto sealed_size = crypto::sealer::sealed_size(plain.size());
  scratch_.assign(blocks_of(header_size + sealed_size), '\0');
  put_number(scratch_.data(), epoch, number_size);
  put_number(scratch_.data() + number_size, sequence_, number_size);
  put_number(scratch_.data() + 2 * number_size, sealed_size, 4);
  sealing_.seal(table, std::string{scratch_, 0, 2 * number_size}, plain, scratch_.data() + header_size);
  for (std::size_t at = 0; at < scratch_.size();) {
    const auto done = ::pwrite(fd_, scratch_.data() + at, scratch_.size() - at, static_cast<off_t>(offset_ + at));
    if (done <= 0)
      fail("write", done < 0 ? errno : ENOSPC);
    at += static_cast<std::size_t>(done);
  }
  if (::fdatasync(fd_) != 0)
    fail("sync", errno);
  offset_ += scratch_.size();
  ++sequence_;
}

void append_journal::restart() {
  offset_ = 0;
  sequence_ = 0;
}

} // namespace swarm::storage
