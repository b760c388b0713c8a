// Commits the transactions of a frame dump, one after the other.
//
//   commit DB FRAMES
//
// Run it twice and the log goes on where it was.

#include "frames.hpp"

#include <cstdint>
#include <exception>
#include <iostream>

namespace {

void commit(const char* db, const char* dump) {
  frame_dump transactions(dump);

  epochwal::coordinator_options options;
  options.sequencing = EWAL_SEQUENCING_COORDINATOR;
  epochwal::coordinator wal(db, options);

  std::uint64_t txn_id = 0;
  std::uint64_t pages = 0;
  epochwal::ticket last;
  for (auto frames = transactions.next(); !frames.empty(); frames = transactions.next()) {
    epochwal::batch batch;
    batch.txn_id = ++txn_id;
    batch.frames = frames;
    last = wal.commit(batch);  // returns when the transaction is on the disk
    pages += frames.size();
  }
  // The destructor would close too, but could not tell us if that fails.
  wal.close();

  std::cout << "committed " << txn_id << " transactions of " << pages
            << " pages, through epoch " << last.epoch << ", sequence " << last.commit_seq
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: commit DB FRAMES\n";
    return 64;
  }
  try {
    commit(argv[1], argv[2]);
  } catch (const epochwal::error& e) {
    std::cerr << "commit: " << epochwal::status_name(e.status()) << ": " << e.what() << '\n';
    return 1;
  } catch (const std::exception& e) {
    std::cerr << "commit: " << e.what() << '\n';
    return 1;
  }
}
