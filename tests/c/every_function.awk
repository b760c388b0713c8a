# Makes of the header a list of the kinds of handles and a table of all functions,
# each with a call of it over a handle given by number: with zero for every number,
# and with the largest of its type. So neither a function nor a kind that is added
# can be forgotten by test_every_function.c. symbols: how many functions there must
# be.

# A handle is a struct of an id alone.
/^typedef struct \{/ { fields = 0; has_id = 0 }
/^  [a-z].*;$/ { fields++; has_id = has_id || /^  uint64_t id;$/ }
/^\} ewal_[a-z_]*;$/ && fields == 1 && has_id {
  gsub(/[} ;]/, "")
  kind_of[$0] = toupper(substr($0, 6))
  kinds = kinds kind_of[$0] ", "
}

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
    if (type in kind_of)
      kind = kind_of[type]
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
  calls = calls "static ewal_status " numbers "_" name \
    "(uint64_t id, void *at, ewal_error *error) {\n  (void)id, (void)at, (void)error;\n" \
    (status ? "  return " name "(" args ");\n}\n" \
            : "  (void)" name "(" args ");\n  return EWAL_E_INVALID;\n}\n")
}

function argument(type, numbers) {
  if (type == "ewal_error *")
    return "error"
  if (type ~ /\*$/)
    return "(" type ")at"
  if (type in kind_of)
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
  print "enum { " kinds "KINDS, NO_HANDLE };\n"
  print calls "\nstatic const function functions[] = {\n" table "};"
}
