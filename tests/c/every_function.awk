# Makes of the header a program that calls every function with NULL and zero.
# Each must say EWAL_E_INVALID, and why, where it is given an error struct. So a
# function that is added can't be forgotten. symbols: how many there must be.

# A declaration begins at the left margin and may go on over more lines.
/^[a-z].*[ *]ewal_[a-z_]+\(/ { text = ""; open = 1 }
open { text = text " " $0 }
open && /\);$/ { open = 0; declared(text) }

function declared(text,    head, list, name, n, i, arg, args) {
  head = list = text
  sub(/\(.*/, "", head)
  name = head
  sub(/.*[ *]/, "", name)
  sub(/^[^(]*\(/, "", list)
  sub(/\);$/, "", list)
  n = split(list, arg, /, */)
  for (i = 1; i <= n && arg[i] != "void"; i++) {
    # A zero of the type, which is what stands before the argument's name.
    sub(/ *[a-z_0-9]+$/, "", arg[i])
    sub(/^ +/, "", arg[i])
    args = args (i > 1 ? ", " : "") \
      (arg[i] == "ewal_error *" ? "ERROR" : "(" arg[i] "){0}")
  }
  calls[++functions] = sprintf("%s(%s(%s))",
    head ~ /^ *ewal_status / ? "REFUSED" : "HARMLESS", name, args)
}

END {
  if (functions != symbols) {
    print functions " functions in the header, but " symbols " symbols" > "/dev/stderr"
    exit 1
  }
  print "#include \"harness.h\"\n"
  print "static ewal_error error = EWAL_ERROR_INIT;\n"
  print "#define HARMLESS(call) (void)(call)"
  print "#define REFUSED(call) EXPECT(EWAL_E_INVALID, call, &error)\n"
  print "static void null_and_zero_are_refused(void) {"
  print "#define ERROR NULL"
  for (i = 1; i <= functions; i++)
    print "  " calls[i] ";"
  print "#undef ERROR\n}\n"
  print "static void the_error_says_why(void) {"
  print "#define ERROR (error.code = 0, error.message[0] = 0, &error)"
  for (i = 1; i <= functions; i++)
    if (calls[i] ~ /ERROR/)
      print "  " calls[i] ";\n  CHECK(error.code == EWAL_E_INVALID && error.message[0] != 0);"
  print "}\n"
  print "int main(int argc, char **argv) {\n  start(argc, argv);"
  print "  RUN(null_and_zero_are_refused);\n  RUN(the_error_says_why);\n  return 0;\n}"
}
