#include <algorithm>
#include <map>
#include <span>

#include "calibration/windows.h"
#include "lowbit/base/error.h"
#include "lowbit/base/log.h"
#include "lowbit/base/random.h"
#include "lowbit/calibration/calibration_set.h"
#include "lowbit/data/dataset.h"
#include "lowbit/text/chat_template.h"

namespace lowbit {
namespace {

using Sequences = std::vector<std::vector<TokenId>>;

/// Draws the sequences of one part.
class PartDraw {
 public:
  PartDraw(const CalibrationPart& part, const Corpus& corpus, std::int64_t samples, std::int64_t length,
           const Tokenizer& tokenizer, std::uint64_t seed, CalibrationSet::Part& report, Sequences& out)
      : part_(part),
        corpus_(corpus),
        samples_(samples),
        length_(length),
        tokenizer_(tokenizer),
        // The corpus is named by its content, so that the path of a text file does not decide the draw.
        random_(seed, "calibration/" + corpus.hash.hex()),
        report_(report),
        out_(out) {}

  void run() {
    switch (part_.form) {
      case CalibrationForm::kWindows: windows(); break;
      case CalibrationForm::kPacked: packed(); break;
      case CalibrationForm::kExamples: examples(); break;
    }
  }

 private:
  [[nodiscard]] std::string source() const {
    return fmt::format("split '{}' of dataset '{}'", part_.split, part_.dataset);
  }

  void windows() {
    const std::vector<TokenId> ids = tokenizer_.encode(corpus_.joined());
    const auto tokens = static_cast<std::int64_t>(ids.size());
    if (tokens < length_) {
      fail(ErrorCode::kData, "calibration: {} has {} tokens, a sequence needs {}; lower 'length'", source(), tokens,
           length_);
    }
    for (const std::int64_t offset : window_offsets(tokens)) {
      out_.emplace_back(ids.begin() + offset, ids.begin() + offset + length_);
    }
  }

  [[nodiscard]] std::vector<std::int64_t> window_offsets(std::int64_t tokens) const {
    const bool disjoint = tokens / length_ >= samples_;
    if (part_.in_order) {
      if (!disjoint) {
        fail(ErrorCode::kData, "calibration: {} has {} tokens, {} sequences of {} need {}; lower 'samples' or 'length'",
             source(), tokens, samples_, length_, samples_ * length_);
      }
      std::vector<std::int64_t> offsets;
      for (std::int64_t i = 0; i < samples_; ++i) offsets.push_back(i * length_);
      return offsets;
    }
    if (disjoint) return draw_disjoint_windows(tokens, length_, samples_, random_);
    log::warn("calibration: {} has {} tokens, fewer than {} sequences of {} need; they overlap", source(), tokens,
              samples_, length_);
    return draw_windows(tokens, length_, samples_, random_);
  }

  void packed() {
    std::vector<TokenId> ids;
    const auto needed = static_cast<std::size_t>(samples_ * length_);
    for (const std::size_t document : document_order()) {
      if (ids.size() >= needed) break;
      const std::vector<TokenId> own = encode(corpus_.documents[document] + corpus_.separator);
      ids.insert(ids.end(), own.begin(), own.end());
      ++report_.used;
    }
    if (ids.size() < needed) {
      fail(
          ErrorCode::kData,
          "calibration: the {} documents of {} make {} tokens, {} sequences of {} need {}; lower 'samples' or 'length'",
          corpus_.documents.size(), source(), ids.size(), samples_, length_, needed);
    }
    for (std::int64_t i = 0; i < samples_; ++i) {
      out_.emplace_back(ids.begin() + i * length_, ids.begin() + (i + 1) * length_);
    }
  }

  void examples() {
    const auto length = static_cast<std::size_t>(length_);
    for (const std::size_t document : document_order()) {
      if (report_.used == samples_) return;
      std::vector<TokenId> ids = encode(corpus_.documents[document]);
      if (ids.empty()) continue;
      if (ids.size() > length) {
        ++report_.truncated;
        report_.truncated_tokens += static_cast<std::int64_t>(ids.size() - length);
        ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(length));
      }
      out_.push_back(std::move(ids));
      ++report_.used;
    }
    if (report_.used < samples_) {
      fail(ErrorCode::kData, "calibration: {} has {} documents with text, {} are asked for; lower 'samples'", source(),
           report_.used, samples_);
    }
  }

  /// Templates write BOS themselves.
  [[nodiscard]] std::vector<TokenId> encode(const std::string& document) const {
    return part_.chat ? encode_prompt(tokenizer_, document) : tokenizer_.encode(document);
  }

  /// All documents: drawn or as they lie, and where they are balanced a document of each group in turn.
  [[nodiscard]] std::vector<std::size_t> document_order() const {
    std::vector<std::size_t> order;
    for (const std::int64_t i : permutation(static_cast<std::int64_t>(corpus_.documents.size()), "documents")) {
      order.push_back(static_cast<std::size_t>(i));
    }
    if (!part_.balanced) return order;
    if (corpus_.groups.empty()) {
      fail(ErrorCode::kConfig, "calibration: dataset '{}' has no groups, so 'balanced' has no meaning", part_.dataset);
    }
    std::map<std::string, std::vector<std::size_t>> by_group;
    for (const std::size_t document : order) by_group[corpus_.groups[document]].push_back(document);
    std::vector<std::span<const std::size_t>> groups;
    for (const auto& [name, members] : by_group) groups.emplace_back(members);
    std::vector<std::size_t> balanced;
    // Which groups give one more than others is drawn too.
    const std::vector<std::int64_t> turns = permutation(static_cast<std::int64_t>(groups.size()), "groups");
    for (std::size_t round = 0; balanced.size() < order.size(); ++round) {
      for (const std::int64_t group : turns) {
        const std::span<const std::size_t> members = groups[static_cast<std::size_t>(group)];
        if (round < members.size()) balanced.push_back(members[round]);
      }
    }
    return balanced;
  }

  [[nodiscard]] std::vector<std::int64_t> permutation(std::int64_t count, std::string_view what) const {
    return part_.in_order ? identity_order(count) : draw_order(count, random_.child(what));
  }

  const CalibrationPart& part_;
  const Corpus& corpus_;
  std::int64_t samples_, length_;
  const Tokenizer& tokenizer_;
  Random random_;
  CalibrationSet::Part& report_;
  Sequences& out_;
};

/// The documents as conversations. What is drawn of them stays as it is: the corpus' hash decides it.
void put_into_turns(Corpus& corpus, const ChatTemplate& chat) {
  if (corpus.turns.empty()) {
    fail(ErrorCode::kConfig, "calibration: dataset '{}' is plain text, so 'chat' has no meaning: it has no turns",
         corpus.dataset);
  }
  for (std::size_t i = 0; i < corpus.documents.size(); ++i) {
    std::string& document = corpus.documents[i];
    const Corpus::Turns& turns = corpus.turns[i];
    std::vector<ChatMessage> messages = {{"user", document.substr(0, turns.question_end)}};
    const bool answered = turns.answer_begin < document.size();
    if (answered) messages.push_back({"assistant", document.substr(turns.answer_begin)});
    document = chat.render(messages, {.add_generation_prompt = !answered});
  }
  corpus.separator.clear();
}

std::vector<std::int64_t> order_of(const Sequences& drawn, CalibrationOptions::Order order, std::uint64_t seed) {
  const auto count = static_cast<std::int64_t>(drawn.size());
  if (order == CalibrationOptions::Order::kShuffled) return draw_order(count, Random(seed, "calibration/order"));
  std::vector<std::int64_t> places = identity_order(count);
  if (order == CalibrationOptions::Order::kByLength) {
    std::stable_sort(places.begin(), places.end(), [&](std::int64_t a, std::int64_t b) {
      return drawn[static_cast<std::size_t>(a)].size() > drawn[static_cast<std::size_t>(b)].size();
    });
  }
  return places;
}

Hash hash_of_sequences(const Sequences& sequences) {
  Hasher hasher;
  hasher.add(sequences.size());
  for (const std::vector<TokenId>& ids : sequences) {
    hasher.add(ids.size()).add_bytes(ids.data(), ids.size() * sizeof(TokenId));
  }
  return hasher.finish();
}

}  // namespace

std::int64_t CalibrationSet::tokens() const {
  std::int64_t total = 0;
  for (const std::vector<TokenId>& ids : sequences) total += static_cast<std::int64_t>(ids.size());
  return total;
}

std::int64_t CalibrationSet::longest() const {
  std::size_t longest = 0;
  for (const std::vector<TokenId>& ids : sequences) longest = std::max(longest, ids.size());
  return static_cast<std::int64_t>(longest);
}

Corpus calibration_corpus(const CalibrationPart& part, const DatasetCatalog& datasets) {
  return datasets.load(datasets.find(part.dataset), part.split, {.groups = part.groups, .answers = part.answers});
}

CalibrationTexts calibration_texts(const CalibrationOptions& options, const DatasetCatalog& datasets,
                                   const OverlapIndex* excluded) {
  CalibrationTexts texts{.options = options, .parts = {}};
  for (const CalibrationPart& part : options.parts) {
    CalibrationTexts::Part& own = texts.parts.emplace_back();
    own.corpus = calibration_corpus(part, datasets);
    own.documents = static_cast<std::int64_t>(own.corpus.documents.size());
    if (excluded != nullptr) own.excluded = exclude_overlaps(own.corpus, *excluded);
  }
  return texts;
}

CalibrationSet draw_calibration(const CalibrationOptions& options, const DatasetCatalog& datasets,
                                const Tokenizer& tokenizer, std::uint64_t seed, const OverlapIndex* excluded) {
  return draw_calibration(calibration_texts(options, datasets, excluded), tokenizer, seed);
}

CalibrationSet draw_calibration(const CalibrationTexts& texts, const Tokenizer& tokenizer, std::uint64_t seed) {
  const CalibrationOptions& options = texts.options;
  LOWBIT_ASSERT(!options.parts.empty() && options.samples > 0 && options.length > 0);
  const std::vector<std::int64_t> counts = samples_of_parts(options);
  CalibrationSet set{.options = options, .seed = seed, .sequences = {}, .parts = {}, .hash = {}};
  Sequences drawn;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const CalibrationTexts::Part& part = texts.parts[i];
    CalibrationSet::Part& report = set.parts.emplace_back();
    report.documents = part.documents;
    report.excluded = part.excluded;
    const auto draw_from = [&](const Corpus& corpus) {
      PartDraw(options.parts[i], corpus, counts[i], options.length, tokenizer, seed, report, drawn).run();
    };
    if (!options.parts[i].chat) {
      draw_from(part.corpus);
      continue;
    }
    Corpus corpus = part.corpus;
    put_into_turns(corpus, tokenizer.chat_template());
    draw_from(corpus);
  }
  for (const std::int64_t i : order_of(drawn, options.order, seed)) {
    set.sequences.push_back(std::move(drawn[static_cast<std::size_t>(i)]));
  }
  set.hash = hash_of_sequences(set.sequences);
  return set;
}

}  // namespace lowbit
