#!/bin/sh
# Compiles every native/NAME.c into .native/bin/NAME, when the source or a header is newer. Static, so that the same file runs
# in any mount namespace. Prints what it compiled; nothing when all was up to date.
set -eu
cd "$(dirname "$0")"
mkdir -p ../.native/bin
for source in *.c; do
  binary=../.native/bin/${source%.c}
  if [ ! -e "$binary" ] || [ -n "$(find "$source" ./*.h -newer "$binary")" ]; then
    # Through a name of its own: two builds at once, or a running binary, do no harm.
    ${CC:-gcc} -O2 -static -Wall -Wextra -o "$binary.$$" "$source"
    mv -f "$binary.$$" "$binary"
    echo "compiled ${source%.c}"
  fi
done
