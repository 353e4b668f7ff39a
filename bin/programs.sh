# For bin/stead and bin/stead-agent: sets $root and $node, and tells which file is to be run.
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
node=$root/.tools/node_modules/.bin/node
if [ ! -x "$node" ] || [ ! -d "$root/node_modules" ]; then
  echo "error: this copy of Stead has not been set up yet" >&2
  echo "hint: run $root/dev setup" >&2
  exit 1
fi

# What `./dev setup` has built of a program, unless it is missing or something has been written since.
built() {
  local file=$root/.cache/programs/$1/$1.cjs newer
  [ -e "$file" ] || return 0
  newer=$(find "$root"/bin "$root"/packages/*/{src,package.json} "$root/pnpm-lock.yaml" -newer "$file" -print -quit)
  [ -n "$newer" ] || echo "$file"
}
