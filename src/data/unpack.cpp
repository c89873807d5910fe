#include "data/unpack.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"

namespace lowbit {

bool is_table(std::string_view extension) { return extension == ".parquet" || extension == ".arrow"; }

bool is_packed(std::string_view extension) {
  return extension == ".gz" || extension == ".bz2" || extension == ".zst" || is_table(extension);
}

std::string unpack(std::string_view extension, std::string_view packed, std::string_view origin, std::uint64_t limit,
                   std::int64_t lines) {
  LOWBIT_ASSERT(is_packed(extension));
  if (is_table(extension)) return unpack_table(extension, packed, origin, limit, lines);
  if (extension == ".gz") return gunzip(packed, origin, limit, lines);
  if (extension == ".bz2") return bunzip2(packed, origin, limit, lines);
  return unzstd(packed, origin, limit, lines);
}

bool UnpackedText::add(std::string_view piece) {
  if (piece.size() > limit_ - text_.size()) {
    fail(ErrorCode::kData, "{}: unpacks to more than {}, the most that is read of one file", origin_,
         format_bytes(limit_));
  }
  text_ += piece;
  if (lines_ == 0) return true;
  line_feeds_ += std::count(piece.begin(), piece.end(), '\n');
  return line_feeds_ < lines_;
}

}  // namespace lowbit
