// liblowbit_arrow.so: rows of Parquet and Arrow files as JSON text. One thread, batch by batch, so that memory holds a
// batch and the pages that it comes from.
#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "data/arrow/json_text.h"
#include "data/arrow/limited_pool.h"
#include "data/columnar_abi.h"

namespace lowbit::columnar {
namespace {

using arrow::Result;
using arrow::Status;
using Batch = std::shared_ptr<arrow::RecordBatch>;

constexpr std::int64_t kBatchRows = 1024;
// Columns, nested or not, and row groups. Arrow goes down a schema by recursion, which 20000 levels take off the stack.
constexpr std::int32_t kMostParts = 4096;

/// Hands over row after row of batch after batch.
class Rows {
 public:
  explicit Rows(const Request& request) : request_(request) {}

  /// False once no more are wanted.
  Result<bool> take(const arrow::RecordBatch& batch) {
    ARROW_RETURN_NOT_OK(batch.Validate());  // lengths of buffers; what they hold is checked as it is read
    for (std::int64_t row = 0; row < batch.num_rows(); ++row) {
      ++number_;
      text_.clear();
      const Status status = append_row(batch, row, request_.memory, text_);
      if (!status.ok()) return status.WithMessage("row ", number_, ", ", status.message());
      if (!request_.take(request_.context, text_.data(), text_.size())) return false;
    }
    return true;
  }

 private:
  const Request& request_;
  std::int64_t number_ = 0;
  std::string text_;
};

Status read_stream(arrow::RecordBatchReader& reader, const Request& request) {
  Rows rows(request);
  for (;;) {
    Batch batch;
    ARROW_RETURN_NOT_OK(reader.ReadNext(&batch));
    if (batch == nullptr) return Status::OK();
    ARROW_ASSIGN_OR_RAISE(const bool more, rows.take(*batch));
    if (!more) return Status::OK();
  }
}

Status read_parquet(const std::shared_ptr<arrow::io::BufferReader>& file, const Request& request,
                    arrow::MemoryPool* pool) {
  parquet::ReaderProperties pages(pool);
  pages.enable_buffered_stream();
  pages.set_thrift_container_size_limit(kMostParts);
  parquet::ArrowReaderProperties batches_of(/*use_threads=*/false);
  batches_of.set_batch_size(kBatchRows);
  batches_of.set_pre_buffer(false);
  parquet::arrow::FileReaderBuilder builder;
  ARROW_RETURN_NOT_OK(builder.Open(file, pages));
  builder.memory_pool(pool)->properties(batches_of);
  ARROW_ASSIGN_OR_RAISE(const std::unique_ptr<parquet::arrow::FileReader> reader, builder.Build());
  ARROW_ASSIGN_OR_RAISE(const std::unique_ptr<arrow::RecordBatchReader> batches, reader->GetRecordBatchReader());
  return read_stream(*batches, request);
}

/// Both forms that Arrow has: a file with an index of its batches, and a stream of them, which is what the datasets
/// library keeps in its cache.
Status read_arrow(const std::shared_ptr<arrow::io::BufferReader>& file, const Request& request,
                  arrow::MemoryPool* pool) {
  arrow::ipc::IpcReadOptions options;
  options.memory_pool = pool;
  options.use_threads = false;
  constexpr std::string_view kFileMagic = "ARROW1";
  if (!std::string_view(request.data, request.size).starts_with(kFileMagic)) {
    ARROW_ASSIGN_OR_RAISE(const auto stream, arrow::ipc::RecordBatchStreamReader::Open(file, options));
    return read_stream(*stream, request);
  }
  ARROW_ASSIGN_OR_RAISE(const auto reader, arrow::ipc::RecordBatchFileReader::Open(file, options));
  Rows rows(request);
  for (int i = 0; i < reader->num_record_batches(); ++i) {
    ARROW_ASSIGN_OR_RAISE(const Batch batch, reader->ReadRecordBatch(i));
    ARROW_ASSIGN_OR_RAISE(const bool more, rows.take(*batch));
    if (!more) break;
  }
  return Status::OK();
}

void write_error(const Request& request, std::string_view message) {
  const std::size_t size = std::min(message.size(), request.error_size - 1);
  std::memcpy(request.error, message.data(), size);
  request.error[size] = '\0';
}

bool read(const Request& request) {
  try {
    LimitedPool pool(request.memory);
    const auto bytes = std::make_shared<arrow::Buffer>(reinterpret_cast<const std::uint8_t*>(request.data),
                                                       static_cast<std::int64_t>(request.size));
    const auto file = std::make_shared<arrow::io::BufferReader>(bytes);
    const Status status =
        request.form == Form::kParquet ? read_parquet(file, request, &pool) : read_arrow(file, request, &pool);
    if (!status.ok()) write_error(request, status.message());
    return status.ok();
  } catch (const std::exception& error) {
    write_error(request, error.what());
    return false;
  }
}

constexpr Table kTable{kInterface, read};

}  // namespace
}  // namespace lowbit::columnar

extern "C" __attribute__((visibility("default"))) const lowbit::columnar::Table* lowbit_columnar_table() {
  return &lowbit::columnar::kTable;
}
