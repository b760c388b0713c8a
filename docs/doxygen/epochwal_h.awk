# Gives doxygen the comments of epochwal.h in its own words: what stands before a
# declaration is its text, each section is a group, and Ownership, Threads,
# Blocking and Errors are paragraphs with a heading.

# The words of a text that would mean something else to doxygen.
function words(text) {
    gsub(/</, "\\&lt;", text)
    gsub(/\*[a-z_]+/, "`&`", text)
    return text
}

# The outcomes that a text names, as links: "LOCKED" is EWAL_E_LOCKED.
function outcomes(text,    out, word) {
    out = ""
    while (match(text, /[A-Z][A-Z_]+/)) {
        word = substr(text, RSTART, RLENGTH)
        out = out substr(text, 1, RSTART - 1)
        out = out (word in status ? "\\ref " status[word] " \"" word "\"" : word)
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}

# The first comment is the file's.
NR == 1 {
    sub(/^\/\* [^:]*: t/, "")
    print "/** \\file"
    print " * T" $0
    in_head = 1
    next
}
in_head {
    if (/^ \*\//) in_head = 0
    print words($0)
    next
}

# A section: its title, an empty line, what a reader should know.
/^\/\* ====/ {
    getline
    title = substr($0, 4)
    name = tolower(title)
    gsub(/[^a-z0-9]+/, "_", name)
    if (in_group) print "/** @} */"
    in_group = 1
    print "/** \\defgroup " name " " title
    in_banner = 1
    next
}
in_banner {
    if (/==== \*\/$/) {
        in_banner = 0
        print " * @{ */"
    } else {
        print words($0)
    }
    next
}
/^} \/\* extern "C" \*\// && in_group {
    print "/** @} */"
}

/^\/\* .* \*\/$/ {
    sub(/^\/\*/, "/**")
    print words($0)
    next
}

/^ *\/\/( |$)/ {
    indent = $0
    sub(/\/\/.*/, "", indent)
    text = $0
    sub(/^ *\/\/ ?/, "", text)
    if (text ~ /^(Ownership|Threads|Blocking|Errors)[, a-z]*: /) {
        heading = text
        sub(/:.*/, "", heading)
        sub(/^[^:]*: /, "", text)
        text = toupper(substr(text, 1, 1)) substr(text, 2)
        print indent "/// \\par " heading
    }
    sub(/^ +/, "", text)
    if (text == "") heading = ""
    text = words(text)
    if (heading ~ /^Errors/) text = outcomes(text)
    print indent "///" (text == "" ? "" : " " text)
    next
}

/^#define EWAL_(E_)?[A-Z_]+ / {
    word = $2
    sub(/^EWAL_(E_)?/, "", word)
    if ($3 ~ /^\(?-?[0-9]+\)?$/ && in_group && name == "status_and_errors") status[word] = $2
}
/^#define EWAL_[A-Z_]+_INIT/ {
    print "/// What an " struct " begins with."
}
/^} ewal_[a-z_]+;/ {
    struct = substr($2, 1, length($2) - 1)
}
{
    heading = ""
    print
}
