// The throwing face of recovery.

#include "check.hpp"
#include "workload.hpp"

#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#ifdef CHECK_RANGES
#include <ranges>
static_assert(std::ranges::input_range<epochwal::recovery>);
static_assert(!std::ranges::forward_range<epochwal::recovery>);
#endif

static_assert(!std::is_copy_constructible_v<epochwal::recovery>);
static_assert(std::is_nothrow_move_constructible_v<epochwal::recovery>);

using workload::image;
using workload::quiet;
using workload::transaction;

namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// A closed log of `count` transactions, an epoch each.
std::string log_of(std::uint64_t count) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  for (std::uint64_t seq = 1; seq <= count; ++seq) wal.commit(transaction(seq, seq).batch());
  wal.close();
  return db;
}

/// Turns over a bit of the first item of the second group.
void damage(const std::string& db) {
  const auto segments = epochwal::list_segments(db);
  std::fstream file(segments.at(0).path, std::ios::in | std::ios::out | std::ios::binary);
  // The first group's length is at offset 80 of its header.
  std::uint64_t length = 0;
  file.seekg(80);
  file.read(reinterpret_cast<char*>(&length), sizeof(length));
  const auto at = static_cast<std::streamoff>(length + 128 + 60);
  file.seekg(at);
  const int byte = file.get();
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 0x40));
}

}  // namespace

TEST(the_report_counts_what_was_read) {
  const std::string db = log_of(3);
  epochwal::recovery log(db);
  std::size_t frames = 0;
  for (const auto& batch : log)
    for (const epochwal::frame& frame : batch.frames) frames += frame.image().size() != 0;
  CHECK(frames == 6);
  const ewal_recovery_summary report = log.report();
  CHECK(report.batches == 3);
  CHECK(report.records == 6);
  CHECK(report.highest_commit_seq == 3);
  CHECK(report.db_size == 2);
  CHECK(report.verdict == EWAL_VERDICT_CLEAN);
  CHECK(log.suspects().empty());
  std::uint64_t epochs = 0;
  for (const ewal_epoch_range& range : log.epochs()) epochs += range.last - range.first + 1;
  CHECK(epochs == 3);
}

TEST(a_loop_may_stop_and_go_on) {
  epochwal::recovery log(log_of(3));
  for (const auto& batch : log) {
    CHECK(batch.commit_seq == 1);
    break;
  }
  std::uint64_t next = 2;
  for (const auto& batch : log) CHECK(batch.commit_seq == next++);
  CHECK(next == 4);
  // At the end it stays at the end.
  CHECK(!log.next().has_value());
  CHECK(log.begin() == log.end());
}

TEST(a_loop_over_a_temporary_stream_works) {
  const std::string db = log_of(2);
  std::uint64_t seen = 0;
  for (const auto& batch : epochwal::recovery(db)) seen += batch.commit_seq;
  CHECK(seen == 3);
}

TEST(damage_is_thrown_out_of_the_loop) {
  const std::string db = log_of(4);
  damage(db);
  std::size_t seen = 0;
  CHECK_THROWS(EWAL_E_CORRUPT, {
    epochwal::recovery log(db);
    for (const auto& batch : log) seen += batch.frames.size();
  });
  CHECK(seen <= 2);

  epochwal::recovery_options options;
  options.flags = EWAL_RECOVER_DURABLE_PREFIX;
  epochwal::recovery prefix(db, options);
  REQUIRE(prefix.next().has_value());
  CHECK(!prefix.next().has_value());
  CHECK(prefix.report().verdict == EWAL_VERDICT_CORRUPT);
  const auto suspects = prefix.suspects();
  REQUIRE(suspects.size() == 1);
  CHECK(suspects[0].verdict == EWAL_VERDICT_CORRUPT);
  CHECK(suspects[0].path == epochwal::list_segments(db).at(0).path);
  CHECK(!suspects[0].reason.empty());
}

TEST(recovery_into_a_file_gives_the_last_images) {
  const std::string db = log_of(4);
  const std::string target = db + ".recovered";
  const ewal_recovery_summary report =
      epochwal::recover_into_file(db, target, workload::page_size);
  CHECK(report.batches == 4);
  CHECK(read_file(target) == text_of(image(4, 1)) + text_of(image(4, 2)));
  CHECK_THROWS(EWAL_E_INVALID, epochwal::recover_into_file(db, target, 0));
}

TEST(segments_are_listed_and_cleaned_up) {
  const std::string db = log_of(2);
  const auto segments = epochwal::list_segments(db);
  REQUIRE(segments.size() == 1);
  CHECK(segments[0].version == 2);
  CHECK(segments[0].bytes > 0);
  CHECK(segments[0].last_epoch == epochwal::max_durable_epoch(db));
  CHECK(segments[0].path.find("-wal-seg-") != std::string::npos);
  {
    epochwal::coordinator writer(db, quiet());
    CHECK_THROWS(EWAL_E_LOCKED, epochwal::cleanup_segments(db));
  }
  CHECK(epochwal::cleanup_segments(db) >= 1);
  CHECK(epochwal::list_segments(db).empty());
  epochwal::recovery log(db);
  CHECK(!log.next().has_value());
}

void count_segment(const epochwal::segment_info&) {}

TEST(any_callable_lists_segments_stops_and_throws) {
  const std::string db = check::fresh_database();
  {
    epochwal::coordinator_options options = quiet();
    options.segment_format = 1;
    epochwal::coordinator wal(db, options);
    for (std::uint64_t seq = 1; seq <= 3; ++seq) wal.commit(transaction(seq, seq).batch());
  }
  std::vector<std::uint64_t> seen;
  epochwal::for_each_segment(db, [&](const auto& s) { seen.push_back(s.first_epoch); });
  CHECK(seen.size() == 3);
  int left = 2;
  epochwal::for_each_segment(db, [&](const epochwal::segment_info&) { return --left > 0; });
  CHECK(left == 0);
  CHECK(epochwal::try_for_each_segment(db, count_segment).has_value());
  try {
    // Not copyable, and it throws.
    epochwal::for_each_segment(
        db, [&seen, own = std::make_unique<int>(0)](const epochwal::segment_info&) {
          seen.push_back(0);
          throw std::out_of_range("no more");
        });
    CHECK(false);
  } catch (const std::out_of_range& e) {
    CHECK(std::string(e.what()) == "no more");
  }
  CHECK(seen.size() == 4);
}

TEST(moving_a_stream_goes_on_where_it_was) {
  epochwal::recovery a(log_of(2));
  CHECK(a.next()->commit_seq == 1);
  epochwal::recovery b = std::move(a);
  CHECK(!a);
  CHECK_THROWS(EWAL_E_INVALID, (void)a.next());
  CHECK(b.next()->commit_seq == 2);
  a = std::move(b);
  CHECK(!a.next().has_value());
  a.close();
  a.close();
  CHECK_THROWS(EWAL_E_CLOSED, (void)a.report());
}

#ifdef CHECK_VIEWS
TEST(a_stream_goes_through_views) {
  const std::string db = log_of(6);
  const auto is_even = [](const epochwal::recovered_batch& b) { return b.commit_seq % 2 == 0; };
  const auto pages = [](const epochwal::recovered_batch& b) { return b.frames; };
  epochwal::recovery log(db);
  std::uint64_t sum = 0;
  for (const auto& batch : log | std::views::filter(is_even) | std::views::take(2))
    sum += batch.commit_seq;
  CHECK(sum == 2 + 4);
  // A temporary one lives in its view.
  std::size_t frames = 0;
  for (const epochwal::frame& f :
       epochwal::recovery(db) | std::views::transform(pages) | std::views::join)
    frames += f.image().size() == workload::page_size;
  CHECK(frames == 12);
  CHECK(std::ranges::distance(epochwal::recovery(db)) == 6);
}
#endif

TEST(a_reader_beside_a_writer_sees_what_is_durable) {
  const std::string db = check::fresh_database();
  epochwal::coordinator wal(db, quiet());
  const transaction durable(1, 1);
  wal.commit(durable.batch());
  wal.submit(transaction(2, 2).batch());
  epochwal::recovery log(db);
  const auto batch = log.next();
  REQUIRE(batch.has_value());
  CHECK(durable.is(*batch));
  CHECK(!log.next().has_value());
}

int main() { return check::run(); }
