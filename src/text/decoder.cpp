#include "text/decoder.h"

#include <algorithm>
#include <utility>

#include "lowbit/base/utf8.h"
#include "text/byte_level.h"
#include "text/growth.h"
#include "text/normalizer.h"

namespace lowbit {
namespace {

class SequenceDecoder : public Decoder {
 public:
  explicit SequenceDecoder(std::vector<std::unique_ptr<Decoder>> steps) : steps_(std::move(steps)) {}
  void run(std::vector<DecodedToken>& tokens, std::size_t limit) const override {
    for (const auto& step : steps_) step->run(tokens, limit);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> steps_;
};

class ByteLevelDecoder : public Decoder {
 public:
  explicit ByteLevelDecoder(bool added_are_text) : added_are_text_(added_are_text) {}
  void run(std::vector<DecodedToken>& tokens, std::size_t) const override {
    std::string bytes;
    for (const DecodedToken& token : tokens) {
      if (token.added && added_are_text_) {
        bytes += token.text;
        continue;
      }
      const auto decoded = bytes_of_characters(token.text);
      bytes += decoded ? *decoded : token.text;
    }
    tokens.assign(1, {replace_invalid_utf8(bytes)});
  }

 private:
  bool added_are_text_;
};

class ByteFallbackDecoder : public Decoder {
 public:
  void run(std::vector<DecodedToken>& tokens, std::size_t) const override {
    std::vector<DecodedToken> result;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (find_invalid_utf8(bytes)) {
        result.insert(result.end(), bytes.size(), {"\xEF\xBF\xBD"});
      } else {
        result.push_back({bytes});
      }
      bytes.clear();
    };
    for (DecodedToken& token : tokens) {
      const int byte = byte_of_piece(token.text);
      if (byte >= 0) {
        bytes += static_cast<char>(byte);
        continue;
      }
      flush();
      result.push_back(std::move(token));
    }
    flush();
    tokens = std::move(result);
  }
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void run(std::vector<DecodedToken>& tokens, std::size_t limit) const override {
    for (DecodedToken& token : tokens) {
      token.text = replace_all(pattern_, token.text, content_, limit);
      limit -= std::min(token.text.size(), limit);
    }
  }

 private:
  Regex pattern_;
  std::string content_;
};

class FuseDecoder : public Decoder {
 public:
  void run(std::vector<DecodedToken>& tokens, std::size_t) const override {
    std::string text;
    for (const DecodedToken& token : tokens) text += token.text;
    tokens.assign(1, {std::move(text)});
  }
};

class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void run(std::vector<DecodedToken>& tokens, std::size_t) const override {
    for (DecodedToken& token : tokens) strip(token.text);
  }

 private:
  void strip(std::string& text) const {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < start_ && text.compare(begin, content_.size(), content_) == 0; ++i) {
      begin += content_.size();
    }
    std::size_t end = text.size();
    for (std::size_t i = 0; i < stop_ && end >= begin + content_.size(); ++i) {
      if (text.compare(end - content_.size(), content_.size(), content_) != 0) break;
      end -= content_.size();
    }
    text = text.substr(begin, end - begin);
  }

  std::string content_;
  std::size_t start_;
  std::size_t stop_;
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool drop_first)
      : replacement_(std::move(replacement)), drop_first_(drop_first) {}
  void run(std::vector<DecodedToken>& tokens, std::size_t) const override {
    bool first = true;
    for (DecodedToken& token : tokens) {
      const char* const space = first && drop_first_ ? "" : " ";
      first = false;
      std::string text;
      std::size_t end = 0;
      for (std::size_t at; (at = token.text.find(replacement_, end)) != std::string::npos;) {
        text.append(token.text, end, at - end).append(space);
        end = at + replacement_.size();
      }
      token.text = text.append(token.text, end);
    }
  }

 private:
  std::string replacement_;
  bool drop_first_;
};

class SentencepieceDecoder : public Decoder {
 public:
  SentencepieceDecoder(std::string space, bool prefix) : space_(std::move(space)), prefix_(prefix) {}
  void run(std::vector<DecodedToken>& tokens, std::size_t) const override {
    std::string bytes;
    bool drop_space = prefix_;
    for (const DecodedToken& token : tokens) {
      const int byte = byte_of_piece(token.text);
      if (token.added) {
        bytes += token.text;
      } else if (byte >= 0) {
        bytes += static_cast<char>(byte);
      } else {
        append_piece(token.text, drop_space, bytes);
      }
      drop_space = prefix_ && token.added;
    }
    tokens.assign(1, {replace_invalid_utf8(bytes)});
  }

 private:
  void append_piece(const std::string& piece, bool drop_space, std::string& out) const {
    std::size_t end = drop_space && piece.compare(0, space_.size(), space_) == 0 ? space_.size() : 0;
    for (std::size_t at; (at = piece.find(space_, end)) != std::string::npos; end = at + space_.size()) {
      out.append(piece, end, at - end).append(" ");
    }
    out.append(piece, end);
  }

  std::string space_;
  bool prefix_;
};

int hexadecimal_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

void Decoder::apply(std::vector<DecodedToken>& tokens) const {
  std::size_t bytes = 0;
  for (const DecodedToken& token : tokens) bytes += token.text.size();
  run(tokens, growth_limit(bytes));
}

int byte_of_piece(const std::string& piece) {
  if (piece.size() != 6 || piece.compare(0, 3, "<0x") != 0 || piece[5] != '>') return -1;
  const int high = hexadecimal_digit(piece[3]);
  const int low = hexadecimal_digit(piece[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::unique_ptr<Decoder> decoder_sequence(std::vector<std::unique_ptr<Decoder>> steps) {
  return std::make_unique<SequenceDecoder>(std::move(steps));
}
std::unique_ptr<Decoder> byte_level_decoder(bool added_are_text) {
  return std::make_unique<ByteLevelDecoder>(added_are_text);
}
std::unique_ptr<Decoder> byte_fallback_decoder() { return std::make_unique<ByteFallbackDecoder>(); }
std::unique_ptr<Decoder> replace_decoder(Regex pattern, std::string content) {
  return std::make_unique<ReplaceDecoder>(std::move(pattern), std::move(content));
}
std::unique_ptr<Decoder> fuse_decoder() { return std::make_unique<FuseDecoder>(); }
std::unique_ptr<Decoder> strip_decoder(std::string content, std::size_t start, std::size_t stop) {
  return std::make_unique<StripDecoder>(std::move(content), start, stop);
}
std::unique_ptr<Decoder> sentencepiece_decoder(std::string space, bool prefix) {
  return std::make_unique<SentencepieceDecoder>(std::move(space), prefix);
}
std::unique_ptr<Decoder> metaspace_decoder(std::string replacement, bool drop_first) {
  return std::make_unique<MetaspaceDecoder>(std::move(replacement), drop_first);
}

}  // namespace lowbit
