# Makes of the header a table of all functions, each with a call of it over a
# handle given by number and with NULL and zero else: what test_every_function.c
# calls. So a function that is added can't be forgotten. symbols: how many there
# must be.

# A declaration begins at the left margin and may go on over more lines.
/^[a-z].*[ *]ewal_[a-z_]+\(/ { text = ""; open = 1 }
open { text = text " " $0 }
open && /\);$/ { open = 0; declared(text) }

function declared(text,    head, list, name, n, i, arg, args, kind, told, call) {
  head = list = text
  sub(/\(.*/, "", head)
  name = head
  sub(/.*[ *]/, "", name)
  sub(/^[^(]*\(/, "", list)
  sub(/\);$/, "", list)
  n = split(list, arg, /, */)
  kind = "NO_HANDLE"
  told = "false"
  for (i = 1; i <= n && arg[i] != "void"; i++) {
    # The type is what stands before the argument's name.
    sub(/ *[a-z_0-9]+$/, "", arg[i])
    sub(/^ +/, "", arg[i])
    args = args (i > 1 ? ", " : "")
    if (arg[i] == "ewal_error *") {
      args = args "error"
      told = "true"
    } else if (arg[i] ~ /^ewal_(coordinator|recovery|spool|cursor|records|primary|ack_watch)$/) {
      args = args "(" arg[i] "){id}"
      kind = toupper(substr(arg[i], 6))
    } else {
      args = args "(" arg[i] "){0}"
    }
  }
  call = name "(" args ")"
  if (head !~ /^ *ewal_status /)
    call = "((void)" call ", EWAL_E_INVALID)"
  functions++
  print "static ewal_status call_" name "(uint64_t id, ewal_error *error) {"
  print "  (void)id, (void)error;"
  print "  return " call ";\n}"
  table = table sprintf("    {\"%s\", %s, %s, call_%s},\n", name, kind,
    head ~ /^ *ewal_status / ? told : "false", name)
}

END {
  if (functions != symbols) {
    print functions " functions in the header, but " symbols " symbols" > "/dev/stderr"
    exit 1
  }
  print "static const function functions[] = {\n" table "};"
}
