#pragma once

#include <arrow/record_batch.h>
#include <arrow/status.h>

#include <cstdint>
#include <string>

namespace lowbit::columnar {

/// Appends row `row` of a batch as a JSON object. Texts keep their bytes, valid or not; numbers that JSON does not have
/// (NaN, infinity) are null; dates, times and decimals are texts. Offsets and indices are checked wherever they are
/// used, since files make them. Fails for types without a form in JSON, and once the text has more than `most` bytes:
/// entries of a dictionary may stand in a row any number of times.
[[nodiscard]] arrow::Status append_row(const arrow::RecordBatch& batch, std::int64_t row, std::uint64_t most,
                                       std::string& text);

}  // namespace lowbit::columnar
