#include <algorithm>
#include <optional>

#include "lowbit/base/error.h"
#include "lowbit/model/decoder.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/ops.h"
#include "model/sampling.h"
#include "model/text_stream.h"
#include "model/token_range.h"

namespace lowbit {
namespace {

// Before anything is made of the tokens: tokenizers may take for granted that an id is theirs.
void check_prompt(std::span<const TokenId> prompt, const Architecture& architecture) {
  const std::int64_t context = architecture.context;
  if (prompt.empty()) fail(ErrorCode::kData, "the prompt has no tokens");
  if (static_cast<std::int64_t>(prompt.size()) >= context) {
    fail(ErrorCode::kData, "the prompt has {} tokens, which leaves no room in the model's context of {}", prompt.size(),
         context);
  }
  for (const TokenId id : prompt) check_token(id, architecture.vocabulary);
}

}  // namespace

std::vector<std::int64_t> end_tokens(const Model& model) {
  if (!model.architecture().eos.empty()) return model.architecture().eos;
  const std::optional<TokenId> eos = model.tokenizer().eos();
  return eos ? std::vector<std::int64_t>{*eos} : std::vector<std::int64_t>{};
}

Generation generate(const Model& model, std::span<const TokenId> prompt, const GenerationOptions& options,
                    const Cancellation& cancellation, const std::function<void(std::string_view)>& on_text) {
  check_options(options);
  const std::int64_t context = model.architecture().context;
  check_prompt(prompt, model.architecture());
  const auto length = static_cast<std::int64_t>(prompt.size());
  const std::int64_t count = std::min(options.max_new_tokens, context - length);
  const std::int64_t looked_at = ranked_count(options, model.architecture().vocabulary);
  const NoGradScope no_grad;
  const std::vector<std::int64_t> ends = options.ignore_eos ? std::vector<std::int64_t>{} : end_tokens(model);
  const Random random(options.seed, "generate");
  TextStream stream(model.tokenizer(), prompt, options.stop, on_text);
  Decoder decoder(model, /*sequences=*/1, length + count);
  Generation result;
  result.stopped_by = "length";
  std::vector<TokenId> unread(prompt.begin(), prompt.end());
  for (std::int64_t step = 0; step < count; ++step) {
    const auto ranked = decoder.read_ranked(unread, looked_at, cancellation);
    const TokenId id = sample_token(ranked.front(), options, random, static_cast<std::uint64_t>(step));
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) {
      result.stopped_by = "eos";
      break;
    }
    result.ids.push_back(id);
    if (stream.add(id)) {
      result.stopped_by = "stop";
      break;
    }
    unread.assign(1, id);
  }
  stream.finish();
  result.text = stream.text();
  return result;
}

}  // namespace lowbit
