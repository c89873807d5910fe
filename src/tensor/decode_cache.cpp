#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/tensor/decode.h"

namespace lowbit {
namespace {

constexpr std::align_val_t kLine{64};
// Positions that `fit` leaves room for.
constexpr std::int64_t kSpare = 64;

// Zeros, so that what is computed of keys that are not there yet is at least a number.
std::byte* zeros(std::int64_t count) {
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(count, 1));
  auto* data = static_cast<std::byte*>(::operator new(bytes, kLine));
  std::memset(data, 0, bytes);
  return data;
}

}  // namespace

void DecodeCache::Free::operator()(std::byte* data) const { ::operator delete(data, kLine); }

DecodeCache::DecodeCache(std::int64_t sequences, std::int64_t kv_heads, std::int64_t dim, std::int64_t capacity,
                         Room room, DType numbers)
    : kv_heads_(kv_heads),
      dim_(dim),
      capacity_(padded(capacity)),
      sequences_(sequences),
      room_(room),
      rounds_(numbers == DType::kBFloat16),
      narrow_(rounds_ && room == Room::kWhole) {
  if (dim % kLanes != 0 || dim > kMostRotated) {
    fail(ErrorCode::kInternal, "decode cache: heads of {} numbers, expected a multiple of {} up to {}", dim, kLanes,
         kMostRotated);
  }
  for (Kept* side : {&keys_, &values_}) move(*side, room == Room::kWhole ? capacity_ : 0);
}

std::int64_t DecodeCache::token_bytes() const { return sequences_ * kv_heads_ * dim_ * number_bytes(); }

std::int64_t DecodeCache::bytes() const { return (2 * length_ - keys_.handed() - values_.handed()) * token_bytes(); }

std::byte* DecodeCache::first(const Kept& kept, std::int64_t sequence, std::int64_t head) const {
  return kept.data.get() + (sequence * kv_heads_ + head) * dim_ * kept.room * number_bytes();
}

std::byte* DecodeCache::number(Side side, std::int64_t sequence, std::int64_t head, std::int64_t position) const {
  const std::int64_t place = position - kept(side).begin;
  const std::int64_t index = side == Side::kKeys ? place / kLanes * kLanes * dim_ + place % kLanes : place * dim_;
  return first(kept(side), sequence, head) + index * number_bytes();
}

std::int64_t DecodeCache::step(Side side) { return side == Side::kKeys ? kLanes : 1; }

void DecodeCache::move(Kept& kept, std::int64_t room) const {
  Kept moved{nullptr, kept.handed(), room, kept.rounded, kept.rows};
  const bool elsewhere = room != kept.room || !kept.data;
  if (elsewhere) moved.data.reset(zeros(sequences_ * kv_heads_ * dim_ * room * number_bytes()));
  const std::int64_t left = padded(length_ - kept.handed()) * dim_ * number_bytes();
  for (std::int64_t unit = 0; left > 0 && unit < sequences_ * kv_heads_; ++unit) {
    const std::byte* from = first(kept, 0, unit) + (kept.handed() - kept.begin) * dim_ * number_bytes();
    std::byte* to = elsewhere ? first(moved, 0, unit) : first(kept, 0, unit);
    std::memmove(to, from, static_cast<std::size_t>(left));
  }
  if (!elsewhere) moved.data = std::move(kept.data);
  kept = std::move(moved);
}

void DecodeCache::reserve(std::int64_t tokens) {
  const std::int64_t end = std::min(capacity_, length_ + tokens);
  for (Kept* side : {&keys_, &values_}) {
    if (end - side->begin <= side->room) continue;
    const std::int64_t needed = end - side->handed();
    // Not within the same room where little of it becomes free, so that moving is rare.
    const bool enough = needed + kSpare / 2 <= side->room;
    move(*side, enough ? side->room : padded(std::max(needed, std::min(capacity_, 2 * side->room))));
  }
}

void DecodeCache::fit() {
  if (room_ == Room::kWhole) return;
  for (Kept* side : {&keys_, &values_}) {
    move(*side, std::min(capacity_, padded(length_ - side->handed()) + kSpare));
  }
}

void DecodeCache::put(std::int64_t sequence, std::int64_t head, std::int64_t tokens, const float* k, const float* v,
                      std::int64_t k_stride, std::int64_t v_stride) {
  const std::int64_t end = length_ + tokens;
  if (end > capacity_ || end - keys_.begin > keys_.room || end - values_.begin > values_.room) {
    fail(ErrorCode::kInternal, "decode cache: {} tokens behind {}, with room for {}", tokens, length_, capacity_);
  }
  for (std::int64_t token = 0; token < tokens; ++token) {
    store(Side::kKeys, sequence, head, length_ + token, k + token * k_stride);
    store(Side::kValues, sequence, head, length_ + token, v + token * v_stride);
  }
}

void DecodeCache::store(Side side, std::int64_t sequence, std::int64_t head, std::int64_t position, const float* row) {
  std::byte* kept = number(side, sequence, head, position);
  const std::int64_t step = DecodeCache::step(side);
  if (narrow_) {
    auto* numbers = reinterpret_cast<std::uint16_t*>(kept);
    for (std::int64_t i = 0; i < dim_; ++i) numbers[i * step] = float_to_bfloat16(row[i]);
    return;
  }
  auto* numbers = reinterpret_cast<float*>(kept);
  if (!rounds_) {
    for (std::int64_t i = 0; i < dim_; ++i) numbers[i * step] = row[i];
    return;
  }
  for (std::int64_t i = 0; i < dim_; ++i) numbers[i * step] = bfloat16_to_float(float_to_bfloat16(row[i]));
}

void DecodeCache::advance(std::int64_t tokens) { length_ += tokens; }

void DecodeCache::read(Side side, std::int64_t begin, std::int64_t count, float* rows) const {
  LOWBIT_ASSERT(begin >= kept(side).handed() && count >= 0 && begin + count <= length_);
  for (std::int64_t unit = 0; unit < sequences_ * kv_heads_; ++unit) {
    for (std::int64_t place = begin; place < begin + count; ++place) {
      const std::byte* own = number(side, 0, unit, place);
      for (std::int64_t i = 0; i < dim_; ++i) {
        *rows++ = narrow_ ? bfloat16_to_float(reinterpret_cast<const std::uint16_t*>(own)[i * step(side)])
                          : reinterpret_cast<const float*>(own)[i * step(side)];
      }
    }
  }
}

void DecodeCache::hand_over(Side side, const RoundedRows& rows, std::int64_t count) {
  Kept& own = kept(side);
  const std::int64_t before = own.rounded;
  LOWBIT_ASSERT(count >= before && count <= length_ && !narrow_);
  own.rows = &rows;
  own.rounded = count;
  float row[kMostRotated];
  for (std::int64_t unit = 0; unit < sequences_ * kv_heads_; ++unit) {
    for (std::int64_t place = std::max(before, own.handed()); place < count; ++place) {
      rows.read(unit / kv_heads_, unit % kv_heads_, place, 1, row);
      auto* numbers = reinterpret_cast<float*>(number(side, 0, unit, place));
      for (std::int64_t i = 0; i < dim_; ++i) numbers[i * step(side)] = row[i];
    }
  }
}

}  // namespace lowbit
