#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "data/unpack.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::size_t kChunkBytes = 1 << 16;
constexpr int kGzipOnly = 16 + MAX_WBITS;

struct Inflater {
  z_stream stream{};
  explicit Inflater(std::string_view origin) {
    if (inflateInit2(&stream, kGzipOnly) != Z_OK) fail(ErrorCode::kIo, "{}: no memory to unpack it", origin);
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

}  // namespace

std::string gunzip(std::string_view packed, std::string_view origin, std::uint64_t limit, std::int64_t lines) {
  Inflater inflater(origin);
  z_stream& stream = inflater.stream;
  std::array<char, kChunkBytes> chunk;
  UnpackedText text(origin, limit, lines);
  int status = Z_OK;
  while (true) {
    if (stream.avail_in == 0) {
      // zlib counts in 32 bits, so a large file is handed over in parts.
      const std::size_t part = std::min<std::size_t>(packed.size(), std::numeric_limits<uInt>::max());
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
      stream.avail_in = static_cast<uInt>(part);
      packed.remove_prefix(part);
    }
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) {
      const bool truncated = status == Z_BUF_ERROR && packed.empty();
      fail(ErrorCode::kData, "{}: damaged gzip data at byte {}: {}", origin, stream.total_in,
           truncated               ? "it ends too soon"
           : stream.msg != nullptr ? stream.msg
                                   : "not a gzip stream");
    }
    if (!text.add({chunk.data(), chunk.size() - stream.avail_out})) return text.take();
    if (status != Z_STREAM_END) continue;
    if (stream.avail_in == 0 && packed.empty()) return text.take();
    if (inflateReset(&stream) != Z_OK) fail(ErrorCode::kData, "{}: damaged gzip data", origin);
  }
}

}  // namespace lowbit
