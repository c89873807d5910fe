#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"
#include "lowbit/config/fields.h"
#include "lowbit/model/linear_op.h"
#include "model/artifact_layout.h"

namespace lowbit {

/// The options that a record's settings stand for. Throws `kData`.
template <typename Options>
[[nodiscard]] Options decode_settings(const RuntimeRecord& record) {
  Options options;
  ConfigProblems problems;
  decode_fields(record.settings, options, problems);
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    fail(ErrorCode::kData, "settings of '{}': {}", record.name, error.what());  // a file's mistake, not the user's
  }
  return options;
}

/// What a shard's metadata say of a linear's records: [{name, settings, tensors: [name ...]}].
[[nodiscard]] Json describe_records(const std::vector<RuntimeRecord>& records);
/// Their tensors, by the suffix behind the linear's name. Throws `kInternal` when two records use a name that is taken.
[[nodiscard]] std::vector<StoredPart> store_record_tensors(const std::vector<RuntimeRecord>& records);
/// The inverse of both. Throws `kData`.
[[nodiscard]] std::vector<RuntimeRecord> restore_records(const Json& description, const FindPart& find);

/// One record without tensors, as config.json keeps it.
[[nodiscard]] Json describe_record(const RuntimeRecord& record);
[[nodiscard]] RuntimeRecord described_record(const Json& description);

/// Why compressed-tensors cannot express these records, or an empty text when it can.
[[nodiscard]] std::string compressed_tensors_obstacle(const std::vector<RuntimeRecord>& records);

}  // namespace lowbit
