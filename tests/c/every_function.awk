# Makes of the header a table of all functions, each with a call of it over a
# handle given by number: with zero for every number, and with the largest of its
# type. So a function that is added can't be forgotten by test_every_function.c.
# symbols: how many there must be.

# A declaration begins at the left margin and may go on over more lines.
/^[a-z].*[ *]ewal_[a-z_]+\(/ { text = ""; open = 1 }
open { text = text " " $0 }
open && /\);$/ { open = 0; declared(text) }

function declared(text,    head, list, name, n, i, type, types, kind, status, told) {
  head = list = text
  sub(/\(.*/, "", head)
  name = head
  sub(/.*[ *]/, "", name)
  sub(/^[^(]*\(/, "", list)
  sub(/\);$/, "", list)
  n = split(list, types, /, */)
  if (types[1] == "void")
    n = 0
  status = head ~ /^ *ewal_status /
  kind = "NO_HANDLE"
  told = "false"
  for (i = 1; i <= n; i++) {
    # The type is what stands before the argument's name.
    sub(/ *[a-z_0-9]+$/, "", types[i])
    sub(/^ +/, "", types[i])
    type = types[i]
    if (type ~ /^ewal_(coordinator|recovery|spool|cursor|records|primary|ack_watch)$/)
      kind = toupper(substr(type, 6))
    if (type == "ewal_error *" && status)
      told = "true"
  }
  functions++
  emit(name, "zero", n, types, status)
  emit(name, "largest", n, types, status)
  table = table sprintf("    {\"%s\", %s, %s, zero_%s, largest_%s},\n", name, kind, told,
    name, name)
}

function emit(name, numbers, n, types, status,    i, args) {
  for (i = 1; i <= n; i++)
    args = args (i > 1 ? ", " : "") argument(types[i], numbers)
  print "static ewal_status " numbers "_" name "(uint64_t id, void *at, ewal_error *error) {"
  print "  (void)id, (void)at, (void)error;"
  if (status)
    print "  return " name "(" args ");\n}"
  else
    print "  (void)" name "(" args ");\n  return EWAL_E_INVALID;\n}"
}

function argument(type, numbers) {
  if (type == "ewal_error *")
    return "error"
  if (type ~ /\*$/)
    return "(" type ")at"
  if (type ~ /^ewal_(coordinator|recovery|spool|cursor|records|primary|ack_watch)$/)
    return "(" type "){id}"
  # A time limit stays zero: nobody waits.
  if (numbers == "largest" && type ~ /^u?int(32|64)_t$|^size_t$/ && type != "int64_t")
    return "(" type ")-1"
  if (numbers == "largest" && type == "bool")
    return "true"
  if (numbers == "largest" && type == "ewal_spool_ticket")
    return "(" type "){UINT64_MAX, UINT64_MAX, UINT64_MAX}"
  return "(" type "){0}"
}

END {
  if (functions != symbols) {
    print functions " functions in the header, but " symbols " symbols" > "/dev/stderr"
    exit 1
  }
  print "static const function functions[] = {\n" table "};"
}
