# Makes of the header a program, in C or in Rust, that prints the size of each
# struct and the offset of each field as its own compiler lays them out.
# language: c or rust.

BEGIN {
  if (language == "c") {
    print "#include \"epochwal.h\"\n#include <stdio.h>\n\nint main(void) {"
    whole = "  printf(\"%s %%zu\\n\", sizeof(%s));\n"
    field = "  printf(\"%s.%s %%zu\\n\", offsetof(%s, %s));\n"
  } else {
    print "#![allow(unused_imports)]"
    while ((getline line < "src/ffi/mod.rs") > 0)
      if (line ~ /^pub mod [a-z_]+;$/) {
        sub(/^pub mod /, "", line)
        sub(/;$/, "", line)
        print "use epochwal::ffi::" line "::*;"
      }
    print "use std::mem::offset_of;\n\nfn main() {"
    whole = "    println!(\"%s {}\", size_of::<%s>());\n"
    field = "    println!(\"%s.%s {}\", offset_of!(%s, %s));\n"
  }
}

/^typedef struct \{$/ { inside = 1; fields = 0; next }
inside && /^} [a-z_]+;$/ {
  inside = 0
  name = $2
  sub(/;$/, "", name)
  printf whole, name, name
  for (i = 1; i <= fields; i++)
    printf field, name, named[i], name, named[i]
}
inside && /;$/ && !/^ *\/\// {
  member = $NF
  gsub(/[*;]|\[.*/, "", member)
  named[++fields] = member
}

END { print "}" }
