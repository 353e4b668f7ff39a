#!/bin/sh
# Compiles every native/NAME.c into .native/bin/NAME, when the source or a header is newer. Static, so that the same file runs
# in any mount namespace. A source that needs libraries names them in its first line. Prints what it compiled; nothing when all
# was up to date.
set -eu
cd "$(dirname "$0")"
mkdir -p ../.native/bin
for source in *.c; do
  binary=../.native/bin/${source%.c}
  if [ ! -e "$binary" ] || [ -n "$(find "$source" ./*.h -newer "$binary")" ]; then
    libraries=$(sed -n '1s|^// static-libraries: ||p' "$source")
    # Through a name of its own: two builds at once, or a running binary, do no harm.
    # shellcheck disable=SC2086 # several libraries are several words
    ${CC:-gcc} -O2 -static -Wall -Wextra -o "$binary.$$" "$source" $libraries
    mv -f "$binary.$$" "$binary"
    echo "compiled ${source%.c}"
  fi
done
