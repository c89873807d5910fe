#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace lowbit::kernels::cuda::testing {

/// What a thread is and how far it has come: it passed `barriers` of its block, `group_barriers` of its group of four
/// warps, and `warp_barriers` of its warp.
struct Moment {
  int thread = -1;
  std::uint32_t barriers = 0;
  std::uint32_t group_barriers = 0;
  std::uint32_t warp_barriers = 0;
};

/// A block's shared memory that knows who touched each word. Throws for a read of what nobody wrote, for two threads
/// that touch a word without a barrier between them when one of them writes, and for any touch of a word that a copy is
/// on its way to. Of a word's readers since the last barrier it remembers two; fibers run in another order for another
/// seed, so that others are remembered then.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes) : words_(bytes / 4, 0x7FBADBADU), states_(bytes / 4) {}

  std::uint32_t read(std::size_t word, const Moment& now) {
    State& state = touch(word, "reads");
    if (!state.written) fail(word, now, "reads what nobody wrote");
    for (const Moment& other : {state.writer, state.adder}) {
      if (unordered(other, now)) fail(word, now, "reads without a barrier what another wrote, thread", other);
    }
    if (!unordered(state.readers[0], now)) {
      state.readers[0] = now;
    } else if (!unordered(state.readers[1], now) || state.readers[1].thread == now.thread) {
      state.readers[1] = now;
    }
    return words_[word];
  }

  void write(std::size_t word, std::uint32_t value, const Moment& now) {
    State& state = touch(word, "writes");
    for (const Moment& other : {state.writer, state.adder, state.readers[0], state.readers[1]}) {
      if (unordered(other, now)) fail(word, now, "writes without a barrier what another touched, thread", other);
    }
    state.written = true;
    state.writer = now;
    state.adder = Moment{};
    state.changed = false;
    words_[word] = value;
  }

  /// By one instruction that no other thread's comes between: many may do it without a barrier, but neither read nor
  /// write meanwhile. Of those that did it remembers two.
  template <typename Function>
  void change(std::size_t word, const Function& function, const Moment& now) {
    State& state = touch(word, "adds to");
    if (!state.written) fail(word, now, "adds to what nobody wrote");
    for (const Moment& other : {state.changed ? Moment{} : state.writer, state.readers[0], state.readers[1]}) {
      if (unordered(other, now)) fail(word, now, "adds without a barrier to what another touched, thread", other);
    }
    state.adder = state.changed ? state.writer : Moment{};
    state.changed = true;
    state.writer = now;
    words_[word] = function(words_[word]);
  }

  void begin_copy(std::size_t word, const Moment& now) {
    write(word, 0x7FBADBADU, now);
    states_[word].in_flight = true;
  }
  void end_copy(std::size_t word, std::uint32_t value, const Moment& now) {
    states_[word].in_flight = false;
    states_[word].writer = now;
    words_[word] = value;
  }

  /// Copies in bulk are ordered by barriers of their own, whose order this memory does not know: it knows what is on
  /// its way.
  void begin_bulk_copy(std::size_t word) {
    State& state = touch(word, "copies to");
    state = State{};
    state.in_flight = true;
    words_[word] = 0x7FBADBADU;
  }
  void end_bulk_copy(std::size_t word, std::uint32_t value) {
    states_[word].in_flight = false;
    states_[word].written = true;
    words_[word] = value;
  }

 private:
  struct State {
    bool written = false;
    bool in_flight = false;
    bool changed = false;  ///< by `change`, since it was written
    Moment writer;
    Moment adder;  ///< of others than the writer
    Moment readers[2];
  };

  State& touch(std::size_t word, const char* what) {
    if (word >= states_.size()) {
      throw std::runtime_error(fmt::format("a thread {} word {} of {} of shared memory", what, word, states_.size()));
    }
    if (states_[word].in_flight) {
      throw std::runtime_error(
          fmt::format("a thread {} word {} of shared memory while a copy is on its way", what, word));
    }
    return states_[word];
  }

  static bool unordered(const Moment& before, const Moment& now) {
    if (before.thread < 0 || before.thread == now.thread || before.barriers < now.barriers) return false;
    if (before.thread / 128 == now.thread / 128 && before.group_barriers < now.group_barriers) return false;
    return before.thread / 32 != now.thread / 32 || before.warp_barriers >= now.warp_barriers;
  }

  [[noreturn]] static void fail(std::size_t word, const Moment& now, const char* what) {
    throw std::runtime_error(fmt::format("thread {} {}: word {} of shared memory", now.thread, what, word));
  }
  [[noreturn]] static void fail(std::size_t word, const Moment& now, const char* what, const Moment& other) {
    throw std::runtime_error(
        fmt::format("thread {} {} {}: word {} of shared memory", now.thread, what, other.thread, word));
  }

  std::vector<std::uint32_t> words_;
  std::vector<State> states_;
};

}  // namespace lowbit::kernels::cuda::testing
