// Compiled twice, as C++17 and as C++20, and linked into one program: each
// half must use the header as its own standard sees it.

#include "check.hpp"
#include "workload.hpp"

#include <string>

#if STANDARD == 17

int commit_and_count(const std::string& db);

TEST(two_standards_share_a_program) {
  const std::string db = check::fresh_database();
  {
    epochwal::coordinator wal(db, workload::quiet());
    wal.commit(workload::transaction(1, 1).batch());
    epochwal::spool(db).append({1, 1, "one"});
  }
  CHECK(commit_and_count(db) == 2);
}

int main() { return check::run(); }

#else

int commit_and_count(const std::string& db);

int commit_and_count(const std::string& db) {
  epochwal::coordinator wal(db, workload::quiet());
  wal.commit(workload::transaction(2, 2).batch());
  wal.close();
  epochwal::spool(db).append({1, 2, "two"});
  int batches = 0;
  for (const auto& batch : epochwal::recovery(db)) batches += batch.frames.size() == 2;
  return batches;
}

#endif
