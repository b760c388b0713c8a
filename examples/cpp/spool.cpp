// Appends lines to a spool while a replica follows it in a thread of its own.
//
//   spool DB < LINES
//
// Run it again and the LSNs go on.

#include <epochwal/epochwal.hpp>

#include <cstdint>
#include <exception>
#include <future>
#include <iostream>
#include <string>

namespace {

/// Prints what becomes durable, until a record says that it is the last.
void follow(const epochwal::cursor& tail) {
  for (const epochwal::records& batch : tail)
    for (const epochwal::record& r : batch) {
      if (r.text() == "end") return;
      std::cout << r.lsn << ' ' << r.text() << '\n';
    }
}

void append(const char* db) {
  const epochwal::spool spool(db);
  std::uint64_t lsn = spool.bounds().current_lsn;
  const epochwal::cursor tail(spool, lsn);
  auto replica = std::async(std::launch::async, [&] { follow(tail); });

  std::string line;
  while (std::getline(std::cin, line)) (void)spool.submit({1, ++lsn, line});
  spool.append({1, ++lsn, "end"});  // durable on return, and so is all before it
  replica.get();

  // The replica has all of it: it need not be kept.
  spool.prune_through(lsn);
  // The destructor would close too, but could not tell us if that fails.
  spool.close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: spool DB\n";
    return 64;
  }
  try {
    append(argv[1]);
  } catch (const epochwal::error& e) {
    std::cerr << "spool: " << epochwal::status_name(e.status()) << ": " << e.what() << '\n';
    return 1;
  } catch (const std::exception& e) {
    std::cerr << "spool: " << e.what() << '\n';
    return 1;
  }
}
