#include "metrics/words.h"

#include <algorithm>

#include "text/python_blanks.h"

namespace lowbit {
namespace {

bool is_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

}  // namespace

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t size = code_point_at(text, position).size;
    characters.push_back(text.substr(position, size));
    position += size;
  }
  return characters;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  std::size_t position = 0;
  const auto end_word = [&] {
    if (position > begin) words.push_back(text.substr(begin, position - begin));
  };
  while (position < text.size()) {
    const CodePoint character = code_point_at(text, position);
    if (is_python_space(character.value)) {
      end_word();
      begin = position + character.size;
    }
    position += character.size;
  }
  end_word();
  return words;
}

std::string without_punctuation(std::string_view text) {
  std::string kept(text);
  std::erase_if(kept, is_punctuation);
  return kept;
}

}  // namespace lowbit
