/** A file system of its own for a lab host's pool: a sparse file, mounted in the host's mount namespace alone, which it goes with. */
import { join } from 'node:path'

const SIZE = '1G'

export function btrfsPool(stateDir: string): { readonly path: string; readonly image: string } {
  return { path: join(stateDir, 'pools', 'btrfs'), image: join(stateDir, 'btrfs.img') }
}

/**
 * Run each time that the agent begins, in the host's own namespaces: the first time after a boot it mounts. Past the page
 * cache, as a disk would be: else what containers write is charged to them twice, and a power cut waits for it (seen: a
 * process that could not be killed). The device goes with its last mount.
 */
const MOUNT = `set -e
[ -e "$1" ] || { truncate -s ${SIZE} "$1.new"; mkfs.btrfs --quiet "$1.new" >&2; mv "$1.new" "$1"; }
mkdir -p "$2"
mountpoint -q "$2" || { device=$(losetup --find --show --direct-io=on "$1"); mount "$device" "$2"; losetup --detach "$device"; }
shift 2
exec "$@"`

export function withBtrfsPool(stateDir: string, command: readonly string[]): readonly string[] {
  const { path, image } = btrfsPool(stateDir)
  return ['sh', '-c', MOUNT, 'sh', image, path, ...command]
}
