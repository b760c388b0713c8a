// Applies the log of a database to a file, after showing what is in it.
//
//   recover DB TARGET PAGE_SIZE

#include <epochwal/epochwal.hpp>

#include <charconv>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>

namespace {

void recover(const char* db, const char* target, std::uint32_t page_size) {
  // The stream: every batch, in replay order.
  std::uint64_t batches = 0;
  std::uint64_t bytes = 0;
  for (const epochwal::recovered_batch& batch : epochwal::recovery(db)) {
    ++batches;
    for (const epochwal::frame& frame : batch.frames) bytes += frame.image().size();
  }
  std::cout << "the log holds " << batches << " transactions with " << bytes
            << " bytes of pages\n";

  // The short way: page n goes to offset (n-1) x page size, and is synced.
  const ewal_recovery_summary report = epochwal::recover_into_file(db, target, page_size);
  std::cout << "applied " << report.records << " pages of " << report.batches
            << " transactions to " << target << ", " << report.db_size
            << " pages long, through sequence " << report.highest_commit_seq << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  std::uint32_t page_size = 0;
  const char* text = argc == 4 ? argv[3] : "";
  const char* end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, page_size);
  if (argc != 4 || parsed.ec != std::errc() || parsed.ptr != end) {
    std::cerr << "usage: recover DB TARGET PAGE_SIZE\n";
    return 64;
  }
  try {
    recover(argv[1], argv[2], page_size);
  } catch (const epochwal::error& e) {
    std::cerr << "recover: " << epochwal::status_name(e.status()) << ": " << e.what() << '\n';
    return 1;
  } catch (const std::exception& e) {
    std::cerr << "recover: " << e.what() << '\n';
    return 1;
  }
}
