#include "text/word_boundary.h"

namespace lowbit {

bool has_inner_space(std::string_view piece) {
  for (std::size_t at = piece.find(kSpacePiece); at != std::string_view::npos;
       at = piece.find(kSpacePiece, at + kSpacePiece.size())) {
    if (at > 0 &&
        (at < kSpacePiece.size() || piece.substr(at - kSpacePiece.size(), kSpacePiece.size()) != kSpacePiece)) {
      return true;
    }
  }
  return false;
}

}  // namespace lowbit
