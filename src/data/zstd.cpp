#include <zstd.h>

#include <array>
#include <memory>

#include "data/unpack.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::size_t kChunkBytes = 1 << 16;

}  // namespace

// Windows beyond 128 MiB are refused by the library: a header of a few bytes could ask for any memory else.
std::string unzstd(std::string_view packed, std::string_view origin, std::uint64_t limit, std::int64_t lines) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (context == nullptr) fail(ErrorCode::kIo, "{}: no memory to unpack it", origin);
  UnpackedText text(origin, limit, lines);
  std::array<char, kChunkBytes> chunk;
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t left = 1;  // 0: a frame has ended
  while (in.pos < in.size || left != 0) {
    ZSTD_outBuffer out{chunk.data(), chunk.size(), 0};
    const std::size_t before = in.pos;
    left = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(left) != 0) {
      fail(ErrorCode::kData, "{}: damaged zstd data at byte {}: {}", origin, in.pos, ZSTD_getErrorName(left));
    }
    if (!text.add({chunk.data(), out.pos})) break;
    if (in.pos == in.size && in.pos == before && out.pos == 0 && left != 0) {
      fail(ErrorCode::kData, "{}: damaged zstd data at byte {}: it ends too soon", origin, in.pos);
    }
  }
  return text.take();
}

}  // namespace lowbit
