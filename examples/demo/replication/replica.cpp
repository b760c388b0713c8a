// replica NAME ADDRESS: a replica in C++; wire.py describes what it speaks.
//
// Its database is NAME.sqlite, its spool lies beside NAME. It asks the primary
// that listens at ADDRESS for what follows, makes that durable in its own spool,
// applies it to its database, and says so. Where the primary dies it asks again;
// it ends when a primary says that this was all.

#include <epochwal/epochwal.hpp>
#include <sqlite3.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t pull_at_most = 200;

// The wire

/// The primary has closed the connection, or has died.
struct gone : std::runtime_error {
  gone() : std::runtime_error("the primary is gone") {}
};

std::string packed(std::uint64_t value, int bytes) {
  std::string out;
  for (; bytes > 0; --bytes, value >>= 8) out.push_back(static_cast<char>(value & 0xFF));
  return out;
}

std::uint64_t unpacked(std::string_view bytes) {
  std::uint64_t value = 0;
  for (auto at = bytes.rbegin(); at != bytes.rend(); ++at)
    value = value << 8 | static_cast<unsigned char>(*at);
  return value;
}

struct message {
  char kind = 0;
  std::string body;

  /// The number of `bytes` bytes at `at`.
  [[nodiscard]] std::uint64_t number(std::size_t at, std::size_t bytes) const {
    return unpacked(std::string_view(body).substr(at, bytes));
  }
};

/// A connection to the primary.
class connection {
 public:
  explicit connection(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw std::runtime_error("the address is too long");
    std::memcpy(address.sun_path, path.c_str(), path.size());
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("can't connect to " + path);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { ::close(socket_); }

  void send(char kind, const std::string& body) const {
    const std::string whole = packed(1 + body.size(), 4) + kind + body;
    const auto sent = ::send(socket_, whole.data(), whole.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(whole.size())) throw gone();
  }

  [[nodiscard]] message receive() const {
    message next;
    next.body = exactly(unpacked(exactly(4)));
    next.kind = next.body.at(0);
    next.body.erase(0, 1);
    return next;
  }

 private:
  [[nodiscard]] std::string exactly(std::size_t length) const {
    std::string read(length, '\0');
    for (std::size_t at = 0; at < length;) {
      const auto n = ::recv(socket_, &read[at], length - at, 0);
      if (n <= 0) throw gone();
      at += static_cast<std::size_t>(n);
    }
    return read;
  }

  int socket_;
};

// The database

class statement {
 public:
  statement(sqlite3* db, const std::string& sql) : db_(db) {
    check(sqlite3_prepare_v2(db, sql.c_str(), -1, &handle_, nullptr), SQLITE_OK);
  }
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;
  ~statement() { sqlite3_finalize(handle_); }

  void bind(int index, std::string_view text) {
    check(sqlite3_bind_text64(handle_, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8),
          SQLITE_OK);
  }
  void bind(int index, std::uint64_t number) {
    check(sqlite3_bind_int64(handle_, index, static_cast<sqlite3_int64>(number)), SQLITE_OK);
  }
  void bind(int index, double number) {
    check(sqlite3_bind_double(handle_, index, number), SQLITE_OK);
  }
  void bind(int index, sqlite3_value* value) {
    check(sqlite3_bind_value(handle_, index, value), SQLITE_OK);
  }

  /// Whether there is another row. After the last one it can be run again.
  bool next() {
    const int done = sqlite3_step(handle_);
    if (done == SQLITE_ROW) return true;
    check(done, SQLITE_DONE);
    sqlite3_reset(handle_);
    return false;
  }
  /// Of the row; none where it is NULL. Until the next row.
  [[nodiscard]] std::optional<std::string_view> text(int column) const {
    const auto* at = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
    if (at == nullptr) return std::nullopt;
    return std::string_view(at, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)));
  }
  [[nodiscard]] std::uint64_t number(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(handle_, column));
  }
  [[nodiscard]] sqlite3_value* value(int column) const {
    return sqlite3_column_value(handle_, column);
  }

 private:
  void check(int done, int expected) const {
    if (done != expected) throw std::runtime_error(std::string("SQLite: ") + sqlite3_errmsg(db_));
  }

  sqlite3* db_;
  sqlite3_stmt* handle_ = nullptr;
};

// JSON is taken apart by SQLite. A value comes in the first column, but for a
// real, which comes as text in the second.
constexpr auto changes_sql =
    "SELECT json_extract(value, '$.schema'), json_extract(value, '$.table'),"
    " json_extract(value, '$.delete'), json_extract(value, '$.insert') FROM json_each(?1)";
constexpr auto values_sql =
    "SELECT CASE type WHEN 'object' THEN unhex(json_extract(value, '$.blob')) ELSE atom END,"
    " CASE type WHEN 'object' THEN json_extract(value, '$.real') END FROM json_each(?1)";
constexpr auto statements_sql =
    "SELECT group_concat('\"' || name || '\" = ?' || pk, ' AND ') FILTER (WHERE pk > 0),"
    " group_concat('?' || (cid + 1)) FROM pragma_table_info(?1)";

class database {
 public:
  explicit database(const std::string& path) : db_(open(path)) {
    statement at(db_.get(), "SELECT lsn, term FROM position");
    at.next();
    lsn_ = at.number(0);
    term_ = at.number(1);
  }

  /// LSN and term of the last record that is applied.
  [[nodiscard]] std::uint64_t lsn() const { return lsn_; }
  [[nodiscard]] std::uint64_t term() const { return term_; }

  /// Applies records and notes the last one, in one transaction.
  template <class Records>
  void apply(const Records& records) {
    execute("BEGIN");
    for (const epochwal::record& r : records) {
      apply_one(r);
      lsn_ = r.lsn;
      term_ = r.term;
    }
    set_position_.bind(1, lsn_);
    set_position_.bind(2, term_);
    set_position_.next();
    execute("COMMIT");
  }

 private:
  struct table {
    table(sqlite3* db, const std::string& name, const std::string& key, const std::string& row)
        : delete_row(db, "DELETE FROM \"" + name + "\" WHERE " + key),
          insert_row(db, "INSERT INTO \"" + name + "\" VALUES(" + row + ")") {}
    statement delete_row, insert_row;
  };
  struct closer {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
  };
  using handle = std::unique_ptr<sqlite3, closer>;

  static handle open(const std::string& path) {
    sqlite3* db = nullptr;
    const int done = sqlite3_open(path.c_str(), &db);
    handle opened(db);
    if (done != SQLITE_OK) throw std::runtime_error("can't open " + path);
    // What it loses in a crash is still in the spool.
    execute(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE;"
                "CREATE TABLE IF NOT EXISTS position(lsn INTEGER NOT NULL, term INTEGER NOT NULL);"
                "INSERT INTO position SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM position);"
                "COMMIT");
    return opened;
  }

  static void execute(sqlite3* db, const std::string& sql) {
    if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      throw std::runtime_error(std::string("SQLite: ") + sqlite3_errmsg(db));
  }
  void execute(const std::string& sql) const { execute(db_.get(), sql); }

  void apply_one(const epochwal::record& record) {
    changes_.bind(1, record.text());
    while (changes_.next()) {
      if (const auto schema = changes_.text(0)) {
        execute(std::string(*schema));
        continue;
      }
      table& t = table_named(std::string(changes_.text(1).value()));
      if (const auto key = changes_.text(2)) run_with(t.delete_row, *key);
      if (const auto row = changes_.text(3)) run_with(t.insert_row, *row);
    }
  }

  table& table_named(const std::string& name) {
    const auto found = tables_.find(name);
    if (found != tables_.end()) return found->second;
    statement columns(db_.get(), statements_sql);
    columns.bind(1, name);
    columns.next();
    const std::string key(columns.text(0).value()), row(columns.text(1).value());
    return tables_.try_emplace(name, db_.get(), name, key, row).first->second;
  }

  /// Runs a statement with the values of a JSON array.
  void run_with(statement& with, std::string_view array) {
    values_.bind(1, array);
    for (int n = 1; values_.next(); ++n) {
      if (const auto real = values_.text(1))
        with.bind(n, std::strtod(real->data(), nullptr));
      else
        with.bind(n, values_.value(0));
    }
    with.next();
    if (sqlite3_changes(db_.get()) != 1)
      throw std::runtime_error("the row is not there: " + std::string(array));
  }

  handle db_;
  statement changes_{db_.get(), changes_sql};
  statement values_{db_.get(), values_sql};
  statement set_position_{db_.get(), "UPDATE position SET lsn = ?1, term = ?2"};
  std::map<std::string, table> tables_;
  std::uint64_t lsn_ = 0;
  std::uint64_t term_ = 0;
};

// The replica

class replica {
 public:
  explicit replica(std::string name)
      : name_(std::move(name)), path_(name_ + ".sqlite"), spool_(name_), db_(path_) {}

  /// Takes what one primary has, to its end.
  void follow(const connection& primary) {
    catch_up();
    primary.send('H', packed(db_->lsn(), 8) + packed(db_->term(), 8) + name_);
    const message answer = primary.receive();
    if (answer.kind == 'S') load(std::string_view(answer.body).substr(8));
    if (answer.number(0, 8) != db_->lsn())
      throw std::runtime_error("the primary goes on from elsewhere");
    acknowledge(primary, db_->lsn());
    for (;;) {
      primary.send('P', packed(pull_at_most, 4));
      const message next = primary.receive();
      if (next.kind == 'E') return;
      take(primary, next);
    }
  }

  /// The destructor would close too, but could not tell us if that fails.
  void close() const { spool_.close(); }

 private:
  /// Applies what is durable and was not applied when it, or its primary, died.
  void catch_up() {
    while (db_->lsn() < spool_.bounds().current_lsn) db_->apply(spool_.read_since(db_->lsn()));
  }

  void acknowledge(const connection& primary, std::uint64_t durable) const {
    primary.send('A', packed(durable, 8) + packed(durable, 8) + packed(db_->lsn(), 8));
  }

  /// Makes records durable, then applies them; acknowledges each step.
  void take(const connection& primary, const message& from) {
    std::vector<epochwal::record> records;
    for (std::size_t at = 0; at < from.body.size();) {
      const auto length = static_cast<std::size_t>(from.number(at + 24, 4));
      const auto payload = std::string_view(from.body).substr(at + 28, length);
      records.emplace_back(from.number(at, 8), from.number(at + 8, 8), payload,
                           from.number(at + 16, 8));
      at += 28 + length;
    }
    spool_.append(records);
    acknowledge(primary, records.back().lsn);
    db_->apply(records);
    acknowledge(primary, db_->lsn());
  }

  /// Begins anew from a copy of the primary's database.
  void load(std::string_view copy) {
    const std::string fresh = path_ + ".new";
    std::FILE* file = std::fopen(fresh.c_str(), "wb");
    if (file == nullptr || std::fwrite(copy.data(), 1, copy.size(), file) != copy.size() ||
        std::fflush(file) != 0 || ::fsync(fileno(file)) != 0 || std::fclose(file) != 0)
      throw std::runtime_error("can't write " + fresh);
    db_.reset();  // takes its -wal file along
    std::filesystem::rename(fresh, path_);
    db_.emplace(path_);
    spool_.prune_through(spool_.bounds().current_lsn);
  }

  std::string name_;
  std::string path_;
  epochwal::spool spool_;
  std::optional<database> db_;
};

void run(const std::string& name, const std::string& address) {
  replica one(name);
  for (;;) {
    try {
      one.follow(connection(address));
      return one.close();
    } catch (const gone&) {
      // The primary died: ask the next one.
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: replica NAME ADDRESS\n";
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& e) {
    std::cerr << "replica: " << e.what() << '\n';
    return 1;
  }
}
