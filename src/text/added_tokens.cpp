#include "text/added_tokens.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "text/unicode.h"

namespace lowbit {
namespace {

// Bounds the work at each position of a text; real ones are shorter than 100 bytes.
constexpr std::size_t kMaxContentBytes = 1024;

bool touches_word(std::string_view text, const Range& range) {
  if (range.begin > 0 && is_word_character(code_point_at(text, previous_position(text, range.begin)).value))
    return true;
  return range.end < text.size() && is_word_character(code_point_at(text, range.end).value);
}

std::size_t space_before(std::string_view text, std::size_t position) {
  while (position > 0) {
    const std::size_t previous = previous_position(text, position);
    if (!is_white_space(code_point_at(text, previous).value)) break;
    position = previous;
  }
  return position;
}

std::size_t space_after(std::string_view text, std::size_t position) {
  while (position < text.size()) {
    const CodePoint next = code_point_at(text, position);
    if (!is_white_space(next.value)) break;
    position += next.size;
  }
  return position;
}

}  // namespace

void AddedTokenMatcher::add(std::string_view content, const AddedToken& token) {
  if (content.empty()) return;
  if (content.size() > kMaxContentBytes) {
    fail(ErrorCode::kUnsupported, "an added token of {} bytes, at most {} are accepted", content.size(),
         kMaxContentBytes);
  }
  std::size_t node = 0;
  for (const char byte : content) {
    const std::uint64_t edge = (static_cast<std::uint64_t>(node) << 8) | static_cast<unsigned char>(byte);
    const auto [found, inserted] = edges_.emplace(edge, token_at_node_.size());
    if (inserted) token_at_node_.push_back(kNone);
    node = found->second;
  }
  first_bytes_[static_cast<unsigned char>(content.front())] = true;
  if (token_at_node_[node] != kNone) return;
  token_at_node_[node] = tokens_.size();
  tokens_.push_back(token);
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::longest_at(std::string_view text, std::size_t begin) const {
  std::optional<Match> longest;
  std::size_t node = 0;
  for (std::size_t at = begin; at < text.size(); ++at) {
    const auto edge = edges_.find((static_cast<std::uint64_t>(node) << 8) | static_cast<unsigned char>(text[at]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (token_at_node_[node] != kNone) longest = {at + 1, token_at_node_[node]};
  }
  return longest;
}

std::vector<Segment> AddedTokenMatcher::split(std::string_view text, bool parse_special) const {
  std::vector<Segment> segments;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !tokens_.empty();) {
    const auto match = first_bytes_[static_cast<unsigned char>(text[at])] ? longest_at(text, at) : std::nullopt;
    if (!match) {
      ++at;
      continue;
    }
    Range range{at, match->end};
    at = match->end;
    const AddedToken& token = tokens_[match->token];
    if (token.special && !parse_special) continue;
    if (token.single_word && touches_word(text, range)) continue;
    if (token.lstrip) range.begin = std::max(space_before(text, range.begin), done);
    if (token.rstrip) range.end = space_after(text, range.end);
    if (done < range.begin) segments.push_back({{done, range.begin}, std::nullopt});
    segments.push_back({range, token.id});
    done = range.end;
  }
  if (done < text.size()) segments.push_back({{done, text.size()}, std::nullopt});
  return segments;
}

}  // namespace lowbit
