#include <bzlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "data/unpack.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::size_t kChunkBytes = 1 << 16;

struct Decompressor {
  bz_stream stream{};
  explicit Decompressor(std::string_view origin) {
    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) fail(ErrorCode::kIo, "{}: no memory to unpack it", origin);
  }
  ~Decompressor() { BZ2_bzDecompressEnd(&stream); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
};

/// Unpacks the stream that `packed` begins with and takes it off; false once there are enough lines.
bool unpack_stream(std::string_view& packed, std::string_view origin, UnpackedText& text) {
  Decompressor decompressor(origin);
  bz_stream& stream = decompressor.stream;
  std::array<char, kChunkBytes> chunk;
  int status = BZ_OK;
  while (status != BZ_STREAM_END) {
    // The library counts in 32 bits, so a large file is handed over in parts.
    const std::size_t part = std::min<std::size_t>(packed.size(), std::numeric_limits<unsigned>::max());
    stream.next_in = const_cast<char*>(packed.data());
    stream.avail_in = static_cast<unsigned>(part);
    stream.next_out = chunk.data();
    stream.avail_out = static_cast<unsigned>(chunk.size());
    status = BZ2_bzDecompress(&stream);
    if (status != BZ_OK && status != BZ_STREAM_END) {
      fail(ErrorCode::kData, "{}: damaged bzip2 data: {}", origin,
           status == BZ_DATA_ERROR_MAGIC ? "not a bzip2 stream" : "its checksum or its form is wrong");
    }
    packed.remove_prefix(part - stream.avail_in);
    const std::size_t made = chunk.size() - stream.avail_out;
    if (status == BZ_OK && packed.empty() && made == 0) {
      fail(ErrorCode::kData, "{}: damaged bzip2 data: it ends too soon", origin);
    }
    if (!text.add({chunk.data(), made})) return false;
  }
  return true;
}

}  // namespace

std::string bunzip2(std::string_view packed, std::string_view origin, std::uint64_t limit, std::int64_t lines) {
  UnpackedText text(origin, limit, lines);
  do {
    if (!unpack_stream(packed, origin, text)) break;
  } while (!packed.empty());
  return text.take();
}

}  // namespace lowbit
