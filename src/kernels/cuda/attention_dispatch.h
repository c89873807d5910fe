#pragma once

#include <cstdio>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/kv_round_eights.h"
#include "kernels/cuda/kv_round_tokens.h"
#include "kernels/cuda/report.h"

// From a call to the kernels of attention and the sizes of their grids, and what a call must be; the same on a GPU and
// on the tests' model of one. `launcher.launch<Kernel>(blocks, shared bytes, call)` starts a kernel.
namespace lowbit::kernels::cuda {

struct AttentionGrid {
  int blocks[3];
  std::size_t shared_bytes;
};

/// Null, or what is wrong.
inline const char* fault_of(const KvStore& store) {
  if (store.bits != 2 && store.bits != 4 && store.bits != 8) return "caches have 2, 4 or 8 bits";
  if (store.channels < 1 || store.channels > kMostHeadChannels) return "heads have 1 to 256 channels";
  if (store.channels * store.bits % 32 != 0) return "a token of a head does not fill whole words of 32 bits";
  if (store.group < 1) return "a scale belongs to no number";
  if (store.of_tokens != 0 && (store.capacity % store.group != 0 || store.rounded % store.group != 0)) {
    return "a cache ends within a group of tokens";
  }
  return nullptr;
}

template <NumberKind kKind, int kBits, typename Launcher>
bool launch_kv_round_tokens(const KvRoundCall& call, Launcher& launcher) {
  using Kernel = KvRoundTokens<kKind, kBits>;
  const auto words = static_cast<std::size_t>(Kernel::shared_words(call.store));
  return launcher.template launch<Kernel>(AttentionGrid{{Kernel::blocks(call), 1, 1}, words * 4}, call);
}

template <NumberKind kKind, typename Launcher>
bool dispatch_kv_round_tokens(const KvRoundCall& call, Launcher& launcher) {
  if (call.store.bits == 2) return launch_kv_round_tokens<kKind, 2>(call, launcher);
  if (call.store.bits == 4) return launch_kv_round_tokens<kKind, 4>(call, launcher);
  return launch_kv_round_tokens<kKind, 8>(call, launcher);
}

template <typename Launcher>
bool dispatch_kv_round(const KvRoundCall& call, Launcher& launcher) {
  if (!rounds_by_eights(call)) {
    const int run = call.store.of_tokens != 0 ? call.store.group : 1;
    return launcher.template launch<KvRound>(
        AttentionGrid{{call.sequences * call.store.heads, call.tokens / run, 1}, KvRound::kSharedWords * 4}, call);
  }
  if (call.store.of_tokens == 0) {
    return launcher.template launch<KvRoundChannels>(AttentionGrid{{KvRoundChannels::blocks(call), 1, 1}, 0}, call);
  }
  switch (call.kind) {
    case NumberKind::kFloat16: return dispatch_kv_round_tokens<NumberKind::kFloat16>(call, launcher);
    case NumberKind::kBFloat16: return dispatch_kv_round_tokens<NumberKind::kBFloat16>(call, launcher);
    case NumberKind::kFloat32: break;
  }
  return dispatch_kv_round_tokens<NumberKind::kFloat32>(call, launcher);
}

template <int kKeyBits, typename Launcher>
bool launch_attention(const AttentionCall& call, Launcher& launcher) {
  using Kernel = DecodeAttention<kKeyBits>;
  const auto units = static_cast<int>(attention_units(call.sequences, call.keys.heads, call.repeats));
  const auto words = static_cast<std::size_t>(Kernel::shared_words(call));
  return launcher.template launch<Kernel>(AttentionGrid{{units, call.splits, 1}, words * 4}, call);
}

template <typename Launcher>
bool dispatch_attention(const AttentionCall& call, Launcher& launcher) {
  if (call.keys.bits == 2) return launch_attention<2>(call, launcher);
  if (call.keys.bits == 4) return launch_attention<4>(call, launcher);
  return launch_attention<8>(call, launcher);
}

/// `Launchers` makes a launcher of a `Launch` and a report.
template <typename Launchers>
struct CheckedAttention {
  static bool round_tokens(const KvRoundCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    const char* fault = fault_of(call->store);
    const int run = call->store.of_tokens != 0 && fault == nullptr ? call->store.group : 1;
    if (fault == nullptr && (call->tokens % run != 0 || call->first % run != 0)) fault = "tokens end within a group";
    if (fault == nullptr && call->first + call->tokens > call->store.capacity) fault = "the cache is full";
    if (fault != nullptr) return refuse_attention(report, fault);
    if (call->sequences == 0 || call->tokens == 0) return true;
    auto launcher = Launchers::make(*launch, report);
    return dispatch_kv_round(*call, launcher);
  }

  static bool attend(const AttentionCall* call, const Launch* launch, Report* report) {
    *report = Report{};
    const char* fault = fault_of(call->keys);
    if (fault == nullptr) fault = fault_of(call->values);
    if (fault == nullptr && (call->keys.heads != call->values.heads || call->keys.channels != call->values.channels)) {
      fault = "keys and values differ in heads or channels";
    }
    if (fault == nullptr && (call->first < 0 || call->first >= call->length)) fault = "no token is seen";
    if (fault == nullptr && (call->splits < 1 || (call->splits > 1 && call->partials == nullptr))) {
      fault = "a call has no splits, or no memory for their states";
    }
    if (fault == nullptr && call->splits > kMostAttentionSplits) fault = "a call has more than 256 splits";
    if (fault == nullptr && call->repeats < 1) fault = "a KV head has no query heads";
    if (fault != nullptr) return refuse_attention(report, fault);
    if (call->sequences == 0) return true;
    auto launcher = Launchers::make(*launch, report);
    return dispatch_attention(*call, launcher);
  }

 private:
  static bool refuse_attention(Report* report, const char* text) {
    report->failure = Failure::kArgument;
    std::snprintf(report->text, sizeof report->text, "%s", text);
    return false;
  }
};

}  // namespace lowbit::kernels::cuda
