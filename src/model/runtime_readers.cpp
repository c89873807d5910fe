#include "lowbit/model/runtime_readers.h"

#include "lowbit/base/error.h"

namespace lowbit {

std::vector<std::shared_ptr<const LinearExecution>> make_executions(const std::vector<RuntimeRecord>& records,
                                                                    const LinearOp& product,
                                                                    const RuntimeReaders& readers) {
  std::vector<std::shared_ptr<const LinearExecution>> executions;
  for (const RuntimeRecord& record : records) {
    if (!readers.execution) {
      fail(ErrorCode::kUnsupported, "'{}' runs around the product, and the model was opened without readers",
           record.name);
    }
    executions.push_back(readers.execution(record, product));
  }
  return executions;
}

}  // namespace lowbit
