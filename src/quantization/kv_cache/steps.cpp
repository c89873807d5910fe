#include "quantization/kv_cache/steps.h"

#include <fmt/format.h>

#include <memory>
#include <string>

#include "lowbit/base/error.h"
#include "lowbit/quantization/recipe.h"
#include "lowbit/quantization/steps.h"

namespace lowbit {
namespace {

constexpr std::int64_t kLongest = std::int64_t{1} << 24;

void visit_scale(FieldVisitor& v, ScaleType& scale) {
  v.choice("scale", scale, {"float16", "bfloat16", "float32"}, "type that scales and minima are stored in");
}

class RoundedCacheStep : public KvCacheStep {
 public:
  RoundedCacheStep(std::string name, const RoundedCacheOptions& options) : name_(std::move(name)), options_(options) {}

  void check(const Architecture& architecture) const override {
    for (const RoundedSide* side : {&options_.keys, &options_.values}) {
      const KvRounding& rounding = side->rounding;
      if (rounding.groups == KvRounding::Groups::kOfTokens || rounding.group <= architecture.head_dim) continue;
      fail(ErrorCode::kConfig,
           "'{}' gives {} channels of a token a scale, the model's heads have {}; set 'group' to {} or less", name_,
           rounding.group, architecture.head_dim, architecture.head_dim);
    }
  }
  std::string text(const Architecture& architecture) const override {
    const auto bits = [&](const RoundedSide& side) { return side.rounding.bits_per_number(architecture.head_dim); };
    return fmt::format("keys {} ({:.2f} bits a number); values {} ({:.2f} bits)", options_.keys.text(),
                       bits(options_.keys), options_.values.text(), bits(options_.values));
  }
  std::unique_ptr<KvCachePolicy> make(const Architecture& architecture, std::int64_t) const override {
    check(architecture);
    return make_rounded_kv_cache(options_, architecture.sliding_window);
  }
  int version() const override { return 1; }

 private:
  std::string name_;
  RoundedCacheOptions options_;
};

}  // namespace

void KvCacheOptions::visit(FieldVisitor& v) {
  v.field("bits", bits, "width of a code", {2, 8});
  v.choice("per", per, {"token", "channel"},
           "numbers that share a scale: neighbouring channels of one token, or consecutive tokens of one channel");
  v.field("group", group, "channels, or tokens, to a scale; -1: all channels of a head, for 'per: token'",
          {-1, kLongest});
  v.field("symmetric", symmetric, "true: scale max|x| / (2^(bits - 1) - 1) and no minimum; false: least to largest");
  v.field("window", window, "most recent tokens that are kept as they are", {0, kLongest});
  visit_scale(v, scale);
}

void KvCacheOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (group == 0) problems.add(mark, "'group' is 0, expected 1 or more, or -1 for all channels of a head");
  if (group < 0 && per == Per::kChannel) {
    problems.add(mark, "'group: -1' has no meaning for 'per: channel', where a group is of tokens; give their number");
  }
}

RoundedCacheOptions KvCacheOptions::cache() const {
  const bool of_tokens = per == Per::kChannel;
  const RoundedSide side{
      .rounding = {.groups = of_tokens ? KvRounding::Groups::kOfTokens : KvRounding::Groups::kOfChannels,
                   .bits = static_cast<int>(bits),
                   .group = group,
                   .symmetric = symmetric,
                   .scale = scale},
      .kept = window,
      .block = of_tokens ? group : 1};
  return {.keys = side, .values = side};
}

void KiviOptions::visit(FieldVisitor& v) {
  v.field("bits", bits, "width of a code; the paper's are 2 and 4", {2, 8});
  v.field("group", group, "tokens of a key's channel, and channels of a value's token, to a scale", {1, kLongest});
  v.field("window", window,
          "R: keys are rounded whenever so many have gathered, values when so many tokens have come behind them",
          {1, kLongest});
  visit_scale(v, scale);
}

void KiviOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (window % group != 0) {
    problems.add(mark,
                 fmt::format("'window' is {}, expected a multiple of 'group', {}, since keys are rounded in whole "
                             "groups",
                             window, group));
  }
}

RoundedCacheOptions KiviOptions::cache() const {
  const KvRounding values{
      .groups = KvRounding::Groups::kOfChannels, .bits = static_cast<int>(bits), .group = group, .scale = scale};
  KvRounding keys = values;
  keys.groups = KvRounding::Groups::kOfTokens;
  return {.keys = {.rounding = keys, .kept = 0, .block = window}, .values = {.rounding = values, .kept = window}};
}

void register_builtin_kv_cache_steps(QuantizationRegistries& registries) {
  registries.kv_cache_steps.add<KvCacheOptions>(
      "kv_cache", "keeps keys and values rounded, per token or per channel", "",
      [](const KvCacheOptions& options) { return std::make_unique<RoundedCacheStep>("kv_cache", options.cache()); });
  registries.kv_cache_steps.add<KiviOptions>(
      "kivi", "keeps keys rounded per channel and values per token, but for the most recent tokens",
      "Liu et al., KIVI, arXiv 2402.02750",
      [](const KiviOptions& options) { return std::make_unique<RoundedCacheStep>("kivi", options.cache()); });
}

}  // namespace lowbit
