#include "kernels/cuda/attention_dispatch.h"

#include <gtest/gtest.h>

#include <string>

namespace lowbit::kernels::cuda {
namespace {

struct NoLaunchers {
  struct Launcher {
    template <typename Kernel, typename Call>
    bool launch(const AttentionGrid&, const Call&) {
      return true;
    }
  };
  static Launcher make(const Launch&, Report*) { return {}; }
};

TEST(CudaDecodeAttention, SaysWhatACallLacks) {
  KvStore store{};
  store.bits = 4;
  store.heads = 2;
  store.channels = store.capacity = 64;
  store.group = 16;
  store.of_tokens = 1;
  const auto fault = [&](const auto& change) {
    AttentionCall call{};
    call.keys = call.values = store;
    call.length = call.splits = call.repeats = 1;
    change(call);
    const Launch launch{};
    Report report{};
    EXPECT_FALSE(CheckedAttention<NoLaunchers>::attend(&call, &launch, &report));
    EXPECT_EQ(report.failure, Failure::kArgument);
    return std::string(report.text);
  };
  EXPECT_EQ(fault([](AttentionCall& call) { call.keys.bits = 3; }), "caches have 2, 4 or 8 bits");
  EXPECT_EQ(fault([](AttentionCall& call) { call.values.channels = 264; }), "heads have 1 to 256 channels");
  EXPECT_EQ(fault([](AttentionCall& call) { call.keys.channels = 60; }),
            "a token of a head does not fill whole words of 32 bits");
  EXPECT_EQ(fault([](AttentionCall& call) { call.keys.rounded = 7; }), "a cache ends within a group of tokens");
  EXPECT_EQ(fault([](AttentionCall& call) { call.values.heads = 3; }), "keys and values differ in heads or channels");
  EXPECT_EQ(fault([](AttentionCall& call) { call.first = 1; }), "no token is seen");
  EXPECT_EQ(fault([](AttentionCall& call) { call.splits = 2; }), "a call has no splits, or no memory for their states");
  EXPECT_EQ(fault([](AttentionCall& call) { call.repeats = 0; }), "a KV head has no query heads");
  float partials = 0;
  EXPECT_EQ(fault([&](AttentionCall& call) {
              call.splits = 257;
              call.partials = &partials;
            }),
            "a call has more than 256 splits");
}

}  // namespace
}  // namespace lowbit::kernels::cuda
