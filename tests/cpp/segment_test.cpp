// Segments of version 1 by themselves.

#include "check.hpp"
#include "workload.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

epochwal::segment_record record(std::uint64_t txn, std::uint64_t seq) {
  epochwal::segment_record r;
  r.txn_id = txn;
  r.txn_epoch = 2;
  r.page_number = 7;
  r.begin_seq = seq;
  r.end_seq = seq;
  r.has_end_seq = true;
  return r;
}

std::string_view text(epochwal::bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A committed record and an aborted one, in epoch 3.
std::string two_records() {
  const std::string db = check::fresh_database();
  static const std::string before = "before";
  static const std::string after = "after";
  epochwal::segment_record records[] = {record(1, 10).before(before).after(after),
                                        record(2, 11).after(after)};
  records[1].has_end_seq = false;
  records[1].end_seq = 0;
  epochwal::write_segment(db, 3, records);
  return db;
}

}  // namespace

TEST(records_come_back_with_both_images) {
  const std::string db = two_records();
  CHECK(epochwal::segment_path(db, 3) == db + "-wal-seg-0000000000000003");
  std::vector<std::string> seen;
  epochwal::read_segment(db, 3, [&](const epochwal::segment_record& r) {
    CHECK(r.epoch == 3);
    seen.push_back(std::to_string(r.txn_id) + (r.has_end_seq ? "+" : "-") +
                   std::string(text(r.before())) + ">" + std::string(text(r.after())));
  });
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == "1+before>after");
  CHECK(seen[1] == "2->after");
}

TEST(a_reader_may_stop) {
  const std::string db = two_records();
  int seen = 0;
  epochwal::read_segment(db, 3, [&](const epochwal::segment_record&) { return ++seen < 1; });
  CHECK(seen == 1);
}

TEST(what_a_reader_throws_comes_out) {
  const std::string db = two_records();
  int seen = 0;
  bool caught = false;
  try {
    epochwal::read_segment(db, 3, [&](const epochwal::segment_record&) {
      ++seen;
      throw std::out_of_range("mine");
    });
  } catch (const std::out_of_range& e) {
    caught = std::string_view(e.what()) == "mine";
  }
  CHECK(caught);
  CHECK(seen == 1);
}

TEST(segments_are_not_written_over_and_can_be_deleted) {
  const std::string db = two_records();
  const epochwal::segment_record again[] = {record(5, 1)};
  CHECK_THROWS(EWAL_E_EXISTS, epochwal::write_segment(db, 3, again));
  CHECK_THROWS(EWAL_E_INVALID, epochwal::write_segment(db, 4, {}));
  CHECK_THROWS(EWAL_E_NOT_FOUND,
               epochwal::read_segment(db, 4, [](const epochwal::segment_record&) {}));
  epochwal::delete_segment(db, 3);
  CHECK_THROWS(EWAL_E_NOT_FOUND, epochwal::delete_segment(db, 3));
}

int main() { return check::run(); }
