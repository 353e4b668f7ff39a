/**
 * What LXC and CRIU call while a container is restored: `lxc-checkpoint` finds the first as `criu`, CRIU runs the second at its
 * steps. So LXC's monitor is the parent of the container as ever, while the root, the terminal and the network are Stead's.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { IDS_PER_CONTAINER } from '@stead/core/model/container.ts'
import { SHOWN_CONSOLE, type LxcNic } from '../lxc-spec.ts'
import type { Checkpoint } from './checkpoint.ts'

export interface RestoreScripts {
  readonly criu: string
  readonly nativeDir: string
  readonly images: string
  readonly rootPath: string
  readonly idBase: number
  readonly nics: readonly LxcNic[]
  readonly checkpoint: Checkpoint
}

/** Writes both into the folder, which LXC is to have as its PATH. */
export function writeRestoreScripts(folder: string, of: RestoreScripts): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const [name, text] of [
    ['criu', criuScript(of, join(folder, 'network'))],
    ['network', networkScript(of)],
  ] as const) {
    writeFileSync(join(folder, name), text)
    chmodSync(join(folder, name), 0o700)
  }
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * LXC gives the container its control groups at a start only, so it is done here as LXC does it there (systemd makes its own in
 * them). LXC has mounted the root where `--root` says, but without the container's ids. The console is the terminal of `stead-container`
 * itself: the monitor of a restored container carries nothing from one terminal to another (LXC 5.0). CRIU wants the init to be the child of who called LXC's `criu`, which is the monitor (`--restore-sibling`).
 */
export function criuScript({ criu, nativeDir, images, rootPath, idBase, checkpoint }: RestoreScripts, network: string) {
  const devices = checkpoint.devices.map((name) => `--external ${quoted(`mnt[dev-${name}]:/dev/${name}`)}`).join(' ')
  return `#!/bin/sh
set -eu
${PATH}
[ "$1" = --version ] && exec ${quoted(criu)} --version
umask 022
root= groups= path=
while [ $# -gt 0 ]; do
  case $1 in
    --root) root=$2 ;;
    --cgroup-root) groups="$groups --cgroup-root $2" path=\${2#*:} ;;
  esac
  shift
done
for place in $(sed -n 's|^\\([^ ]* \\)\\{4\\}\\([^ ]*\\) .* - cgroup2* .*|\\2|p' /proc/self/mountinfo | sort -u); do
  [ -n "$path" ] && cd "$place$path" 2>/dev/null || continue
  chgrp ${idBase} .
  chmod 775 .
  for file in cgroup.procs cgroup.threads cgroup.subtree_control tasks; do
    [ ! -e $file ] || { chgrp ${idBase} $file && chmod 664 $file; }
  done
done
cd /
umount "$root"
${quoted(join(nativeDir, 'stead-mount'))} map ${quoted(rootPath)} "$root" ${idBase} ${IDS_PER_CONTAINER}
chown ${idBase}:${idBase} ${SHOWN_CONSOLE}
exec 9<>${SHOWN_CONSOLE}
exec ${quoted(criu)} restore --restore-detached --restore-sibling --images-dir ${quoted(images)} --log-file restore.log -v2 \\
  --root "$root" --tcp-established --file-locks --link-remap --manage-cgroups=soft $groups --empty-ns net \\
  --action-script ${quoted(network)} --inherit-fd ${quoted(`fd[9]:${checkpoint.tty}`)} --external 'mnt[dev-console]:${SHOWN_CONSOLE}' ${devices}
`
}

/**
 * In the new network namespace, before the first socket is restored. The host's ends stay down until all sockets are there: what
 * came before would find none, and be answered with a reset. Then, when each socket asks the other end where they are, that way
 * is open. Duplicate addresses are not looked for meanwhile, since a socket cannot have one in doubt.
 */
export function networkScript({ images, nics, checkpoint }: RestoreScripts): string {
  const cards = nics.map((nic) => ({ ...nic, index: checkpoint.links.find(({ name }) => name === nic.name)?.index }))
  const made = cards.flatMap(({ hostEnd, name, mac, mtu, bridge, index }) => [
    `link add ${hostEnd} mtu ${mtu} type veth peer ${index === undefined ? '' : `index ${index} `}name ${name} address ${mac} mtu ${mtu} netns $CRTOOLS_INIT_PID`,
    `link set ${hostEnd} master ${bridge}`,
  ])
  const names = cards.map(({ name }) => name)
  const detect = (wanted: 0 | 1) =>
    names.map((name) => `[ ! -d ${IPV6}/${name} ] || echo ${wanted} >${IPV6}/${name}/accept_dad`).join('\n')
  return `#!/bin/sh
set -eu
${PATH}
inside() { nsenter --net="/proc/$CRTOOLS_INIT_PID/ns/net" sh -eu; }
case $CRTOOLS_SCRIPT_ACTION in
setup-namespaces)
ip -batch - <<END
${made.join('\n')}
END
cd ${quoted(images)}
inside <<'END'
${detect(0)}
ip -batch - <<CARDS
${['lo', ...names].map((name) => `link set ${name} up`).join('\n')}
CARDS
ip address restore <addresses
ip route restore <routes
ip -6 route restore <routes6
${detect(1)}
END
;;
network-unlock)
ip -batch - <<END
${cards.map(({ hostEnd }) => `link set ${hostEnd} up`).join('\n')}
END
;;
esac
`
}

const IPV6 = '/proc/sys/net/ipv6/conf'

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}
