#!/usr/bin/env bash
# The ABI beside that of the last tag: what was compiled against that one must go
# on to work, unless the SONAME says otherwise.
#
#   tests/c/abidiff.sh [TAG]
#
# Needs abidiff (abigail-tools), and builds the tagged library. Functions and
# structs are compared as the debug information has them, constants as the header
# has them. Allowed: more functions, more constants, and more fields at the end of
# a struct that begins with its struct_size; EWAL_ABI_VERSION then has to rise.
set -euo pipefail
cd "$(dirname "$0")/../.."

tag=${1:-$(git describe --tags --abbrev=0 --match 'v[0-9]*')}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
old=$work/old

mkdir "$old"
git archive "$tag" | tar -x -C "$old"
# build TREE LIBRARY: with the types in the debug information.
build() {
	CARGO_PROFILE_DEV_DEBUG=full CARGO_TARGET_DIR=$target/abi "$1/bindings/build.sh" --quiet
	cp "$target/abi/debug/libepochwal.so" "$2"
}
build "$old" "$work/was.so"
build . "$work/is.so"

soname() { readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]$/\1/p'; }
was=$(soname "$work/was.so")
is=$(soname "$work/is.so")
if [ "$was" != "$is" ]; then
	echo "$tag has $was: $is may be anything"
	exit
fi

failed=0
wrong() {
	echo "since $tag, with $is as ever: $1"
	failed=1
}

# Constants by name and value. Initialisers go with their structs.
constants() {
	sed -n 's/^#define \(EWAL_[A-Z0-9_]* .*\)$/\1/p' "$1" |
		grep -v -e '^EWAL_VERSION ' -e '^EWAL_ABI_VERSION ' -e '_INIT ' | sort
}
gone=$(comm -23 <(constants "$old/include/epochwal.h") <(constants include/epochwal.h))
[ -z "$gone" ] || wrong "constants are gone or have another value:
$gone"

# Two fields of one type that change places are none to abidiff; layout.txt,
# which tests/c/run.sh holds against the header, has them by name.
fields() { grep -F . "$1" | sort; }
gone=$(comm -23 <(fields "$old/tests/c/layout.txt") <(fields tests/c/layout.txt))
[ -z "$gone" ] || wrong "fields are gone or lie elsewhere:
$gone"

# Fields behind the last one are no change of a struct that tells its size.
awk '
	/^typedef struct \{/ { fields = 0; sized = 0 }
	/^  [a-z].*;$/ && !fields++ { sized = /^  uint32_t struct_size;$/ }
	/^\} ewal_[a-z_]*;$/ && sized {
		gsub(/[}; ]/, "")
		print "[suppress_type]\n  name_regexp = ::" $0 "$\n  type_kind = struct"
		print "  has_data_member_inserted_at = end\n"
	}
' "$old/include/epochwal.h" >"$work/suppressions"
grep -q '::ewal_coordinator_options\$$' "$work/suppressions"

# Not with --headers-dir: structs that Rust has laid out come from no header, and
# abidiff would take them all for private.
code=0
abidiff --fail-no-debug-info --no-show-locs --no-added-syms \
	--suppressions "$work/suppressions" \
	"$work/was.so" "$work/is.so" >"$work/changes" || code=$?
# 1 and 2: it could not compare. 4 and 8: there is a change.
if [ $((code & 3)) != 0 ]; then
	cat "$work/changes"
	exit 1
fi
[ "$code" = 0 ] || wrong "$(cat "$work/changes")"

# What was added can be asked for at run time.
declared() { "${CC:-cc}" -fpreprocessed -dD -E -P "$1" | grep -v '^#define EWAL_\(ABI_\)\?VERSION '; }
number() { sed -n 's/^#define EWAL_ABI_VERSION //p' "$1"; }
if ! diff <(declared "$old/include/epochwal.h") <(declared include/epochwal.h) >"$work/added" &&
	[ "$(number include/epochwal.h)" -le "$(number "$old/include/epochwal.h")" ]; then
	wrong "EWAL_ABI_VERSION must rise, for the header declares something else:
$(cat "$work/added")"
fi

[ "$failed" = 0 ] && echo "the ABI of $tag goes on: $is"
