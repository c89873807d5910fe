#include "evaluation/writing.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <optional>

#include "evaluation/branches.h"
#include "evaluation/score_journal.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/base/utf8.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "model/sampling.h"
#include "model/text_stream.h"

namespace lowbit {
namespace {

/// One request on its way.
struct Writer {
  std::size_t request;
  std::vector<std::unique_ptr<KvCachePolicy>> caches;  // of each layer
  std::vector<TokenId> unread;
  std::int64_t read = 0;
  std::int64_t written = 0;
  Random random;
  TextStream text;
  bool done = false;
};

/// The rows of several writers in one pass: each goes to the cache of its own.
class WritersAttention : public KvCachePolicy {
 public:
  WritersAttention(std::span<Writer* const> writers, std::size_t layer) : writers_(writers), layer_(layer) {}

  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    // [batch, tokens, heads, dim] in memory: the block's next step joins the heads of a token.
    const at::Tensor out = q.new_empty({q.size(0), q.size(2), q.size(1), q.size(3)}).transpose(1, 2);
    std::int64_t begin = 0;
    for (Writer* const writer : writers_) {
      const auto length = static_cast<std::int64_t>(writer->unread.size());
      const auto own = [&](const at::Tensor& t) { return t.narrow(2, begin, length); };
      own(out).copy_(writer->caches[layer_]->append_and_attend(own(q), own(k), own(v), scale, deterministic));
      begin += length;
    }
    return out;
  }
  std::int64_t length() const override { return 0; }
  std::int64_t bytes() const override { return 0; }

 private:
  std::span<Writer* const> writers_;
  std::size_t layer_;
};

class AnswerWriter {
 public:
  AnswerWriter(const Scorer& scorer, std::span<const WritingRequest> requests, const GenerationOptions& options)
      : scorer_(scorer),
        model_(scorer.model()),
        requests_(requests),
        options_(options),
        ends_(options.ignore_eos ? std::vector<std::int64_t>{} : end_tokens(model_)),
        together_(rows_stand_alone(model_) && packs_freely(model_.options())),
        texts_(requests.size()) {}

  std::vector<std::string> run() {
    const NoGradScope no_grad;
    if (!scorer_.work_folder().empty()) open_journal();
    std::vector<std::size_t> open;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (!texts_[i]) open.push_back(i);
    }
    std::stable_sort(open.begin(), open.end(), [&](std::size_t a, std::size_t b) {
      return requests_[a].prompt.size() > requests_[b].prompt.size();
    });
    const std::unique_ptr<ProgressTask> task =
        scorer_.progress().start("writing", static_cast<std::int64_t>(open.size()), "answers");
    write(open, *task);
    std::vector<std::string> result;
    for (std::optional<std::string>& text : texts_) result.push_back(std::move(*text));
    return result;
  }

 private:
  void open_journal() {
    Hasher pass;
    pass.add("writing").add(options_.max_new_tokens).add(options_.temperature).add(options_.top_k).add(options_.top_p);
    pass.add(options_.seed).add(options_.ignore_eos);
    for (const std::string& stop : options_.stop) pass.add(stop);
    for (const WritingRequest& request : requests_) {
      pass.add(request.id).add(request.prompt.size());
      pass.add_bytes(request.prompt.data(), request.prompt.size() * sizeof(TokenId));
    }
    const Hash hash = pass.finish();
    journal_.emplace(scorer_.work_folder() / (hash.hex() + ".answers"), hash);
    for (const auto& [request, record] : journal_->records()) {
      if (request >= texts_.size()) continue;
      texts_[request].emplace(reinterpret_cast<const char*>(record.observed.data()), record.observed.size());
    }
  }

  /// Tokens that the caches of a request hold at most.
  [[nodiscard]] std::int64_t reach(std::size_t request) const {
    return static_cast<std::int64_t>(requests_[request].prompt.size()) + options_.max_new_tokens;
  }

  [[nodiscard]] std::unique_ptr<Writer> make_writer(std::size_t request) const {
    const std::vector<TokenId>& prompt = requests_[request].prompt;
    std::vector<std::unique_ptr<KvCachePolicy>> caches;
    for (std::int64_t layer = 0; layer < model_.architecture().layers; ++layer) {
      caches.push_back(model_.make_kv_cache(layer));
    }
    return std::unique_ptr<Writer>(new Writer{.request = request,
                                              .caches = std::move(caches),
                                              .unread = prompt,
                                              .random = Random(options_.seed, "generate").child(requests_[request].id),
                                              .text = {model_.tokenizer(), prompt, options_.stop, {}}});
  }

  /// Requests come when the caches of those on their way leave room for theirs, and go when they are done. What decodes
  /// reads the weights once for all: many short steps together cost little more than one.
  void write(std::span<const std::size_t> open, ProgressTask& task) {
    const std::int64_t room =
        together_ ? kWritingCacheBytes / cache_bytes_a_token(model_.architecture(), model_.options().dtype) : 0;
    std::vector<std::unique_ptr<Writer>> writers;
    std::int64_t held = 0;
    std::size_t next = 0;
    while (next < open.size() || !writers.empty()) {
      while (next < open.size() && (writers.empty() || held + reach(open[next]) <= room)) {
        held += reach(open[next]);
        writers.push_back(make_writer(open[next++]));
      }
      step(of_one_step(writers));
      for (const std::unique_ptr<Writer>& writer : writers) {
        if (!writer->done) continue;
        held -= reach(writer->request);
        finish(*writer, task);
      }
      std::erase_if(writers, [](const std::unique_ptr<Writer>& writer) { return writer->done; });
    }
  }

  /// Whose rows are at most a batch: those that decode, and the first that has not read its prompt whatever its length.
  [[nodiscard]] std::vector<Writer*> of_one_step(std::span<const std::unique_ptr<Writer>> writers) const {
    std::vector<Writer*> chosen;
    std::int64_t rows = 0;
    bool begins = false;
    for (const std::unique_ptr<Writer>& writer : writers) {
      const auto own = static_cast<std::int64_t>(writer->unread.size());
      const bool prompt = writer->read == 0;
      if (prompt && begins && rows + own > scorer_.batch_tokens()) continue;
      begins = begins || prompt;
      rows += own;
      chosen.push_back(writer.get());
    }
    return chosen;
  }

  /// Reads what is unread and takes one token more, or ends.
  void step(std::span<Writer* const> writers) {
    const std::vector<std::vector<RankedToken>> ranked =
        model_.rank(next_states(writers), ranked_count(options_, model_.architecture().vocabulary));
    for (std::size_t i = 0; i < writers.size(); ++i) {
      Writer& writer = *writers[i];
      writer.read += static_cast<std::int64_t>(writer.unread.size());
      const TokenId id = sample_token(ranked[i], options_, writer.random, static_cast<std::uint64_t>(writer.written));
      ++writer.written;
      writer.unread = {id};
      writer.done = std::find(ends_.begin(), ends_.end(), id) != ends_.end() || writer.text.add(id) ||
                    writer.written == options_.max_new_tokens;
    }
  }

  // The final norm behind what is unread: a row for each writer (two of one).
  [[nodiscard]] at::Tensor next_states(std::span<Writer* const> writers) const {
    std::vector<std::int64_t> ids, positions, last_rows;
    for (const Writer* const writer : writers) {
      ids.insert(ids.end(), writer->unread.begin(), writer->unread.end());
      for (std::size_t i = 0; i < writer->unread.size(); ++i) {
        positions.push_back(writer->read + static_cast<std::int64_t>(i));
      }
      last_rows.push_back(static_cast<std::int64_t>(ids.size()) - 1);
    }
    // A single row's logits have other bits than those of one among several.
    if (last_rows.size() == 1) last_rows.push_back(last_rows.front());
    const auto index = [&](const std::vector<std::int64_t>& values, const at::Tensor& like) {
      return tensor_of(std::span<const std::int64_t>(values)).to(like.device());
    };
    const RopeTable& all = model_.rope(*std::max_element(positions.begin(), positions.end()) + 1);
    const at::Tensor order = index(positions, all.cos);
    const RopeTable rope{all.cos.index_select(0, order), all.sin.index_select(0, order)};
    at::Tensor hidden = model_.embed(tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0));
    for (std::int64_t layer = 0; layer < model_.architecture().layers; ++layer) {
      scorer_.cancellation().check();
      WritersAttention attention(writers, static_cast<std::size_t>(layer));
      hidden = model_.block(layer)->forward(hidden, rope, &attention);
    }
    return model_.final_norm(hidden.select(0, 0).index_select(0, index(last_rows, hidden)));
  }

  void finish(Writer& writer, ProgressTask& task) {
    writer.text.finish();
    const std::string text = replace_invalid_utf8(writer.text.text());
    if (journal_) journal_->add(writer.request, {}, std::as_bytes(std::span(text)));
    texts_[writer.request] = text;
    task.advance(1);
  }

  const Scorer& scorer_;
  const Model& model_;
  std::span<const WritingRequest> requests_;
  const GenerationOptions& options_;
  std::vector<std::int64_t> ends_;
  bool together_;
  std::vector<std::optional<std::string>> texts_;
  std::optional<ScoreJournal> journal_;
};

}  // namespace

std::int64_t cache_bytes_a_token(const Architecture& architecture, DType dtype) {
  return architecture.layers * 2 * architecture.kv_heads * architecture.head_dim * dtype_bytes(dtype);
}

std::vector<std::string> write_answers(const Scorer& scorer, std::span<const WritingRequest> requests,
                                       const GenerationOptions& options) {
  check_options(options);
  const Architecture& architecture = scorer.model().architecture();
  for (const WritingRequest& request : requests) {
    LOWBIT_ASSERT(!request.prompt.empty());
    LOWBIT_ASSERT(static_cast<std::int64_t>(request.prompt.size()) + options.max_new_tokens <= architecture.context);
  }
  return AnswerWriter(scorer, requests, options).run();
}

}  // namespace lowbit
