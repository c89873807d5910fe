#pragma once

#include <cstdint>
#include <functional>

namespace lowbit {

/// How many blocks that have nothing to do with each other are worked on at once, one a thread, of `threads`: as many
/// as hold no more numbers together than one large block, so that memory is bound by blocks and not by threads. One
/// block at a time leaves its parts to all threads.
[[nodiscard]] std::int64_t blocks_side_by_side(std::int64_t block_parameters, std::int64_t threads);

/// Runs `work(0) .. work(count - 1)`, `at_once` at a time, begun in this order. An exception ends all, and is rethrown
/// here.
void for_each_block(std::int64_t count, std::int64_t at_once, const std::function<void(std::int64_t)>& work);

}  // namespace lowbit
