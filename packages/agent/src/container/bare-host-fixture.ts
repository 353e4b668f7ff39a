/**
 * A host with nothing on it for tests of containers: a test file runs itself again in network, pid, mount, uts, ipc and cgroup
 * namespaces of its own, with control groups of its own in every hierarchy, as a lab's host has them. Nothing of it reaches the
 * machine's network, and all ends with it.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Result } from '@stead/core/result.ts'
import { cgroupFoldersOf, removeCgroups } from './container-cgroup.ts'

const INSIDE = 'STEAD_TEST_BARE_HOST'
const BOUND_MS = 150_000

const BOOT = `
set -e
for group in $STEAD_TEST_CGROUPS; do echo 0 > "$group/cgroup.procs"; done
exec unshare --net --pid --fork --mount --uts --ipc --cgroup --mount-proc --propagation private --kill-child sh -c '
  set -e
  mount -t sysfs sysfs /sys
  mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
  for options in $STEAD_TEST_CONTROLLERS; do
    mkdir "/sys/fs/cgroup/$options"
    case $options in
      unified) mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
      name=*) mount -t cgroup -o "none,$options" cgroup "/sys/fs/cgroup/$options" ;;
      *) mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/$options" ;;
    esac
  done
  mount -t tmpfs -o mode=755 run /run
  ip link set lo up
  hostname bare
  "$@"; code=$?; exit $code
' sh "$@"
`

export interface BareHost {
  /** What runs the command there. All of the host ends with its process. */
  argv(command: readonly string[]): readonly [string, ...string[]]
  readonly env: NodeJS.ProcessEnv
  /** Its control groups, once its processes have ended. */
  remove(): Promise<Result<void>>
}

export function makeBareHost(name: string): BareHost {
  const parents = cgroupFoldersOf('self').filter(({ controllers }) => controllers !== '')
  const groups = parents.map(({ controllers, folder }) => ({ controllers, folder: join(folder, `stead-bare-${name}`) }))
  for (const { controllers, folder } of groups) {
    mkdirSync(folder, { recursive: true })
    // A new cpuset is empty, and no process may enter it.
    if (controllers.split(',').includes('cpuset')) {
      for (const key of ['cpuset.cpus', 'cpuset.mems']) {
        writeFileSync(join(folder, key), readFileSync(join(dirname(folder), key)))
      }
    }
  }
  return {
    argv: (command) => ['sh', '-c', BOOT, 'sh', ...command],
    env: {
      STEAD_TEST_CGROUPS: groups.map(({ folder }) => folder).join(' '),
      STEAD_TEST_CONTROLLERS: groups.map(({ controllers }) => controllers).join(' ') || 'unified',
    },
    remove: () => removeCgroups(groups),
  }
}

/** Calls `tests` inside; outside, it is one test that runs the whole file there. */
export async function onBareHost(file: string, tests: () => void): Promise<void> {
  if (process.env[INSIDE]) return tests()
  await test('on a bare host', async () => {
    const host = makeBareHost(String(process.pid))
    const reporter = ['--test-reporter=spec', '--test-reporter-destination=stderr']
    const [program, ...args] = host.argv([process.execPath, '--test', '--test-isolation=none', ...reporter, file])
    const ran = spawnSync(program, args, {
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, [INSIDE]: '1', ...host.env },
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: BOUND_MS,
      killSignal: 'SIGKILL',
    })
    const removed = await host.remove()
    assert.equal(ran.status, 0, 'see above')
    assert.ok(removed.ok, removed.ok ? '' : removed.error.message)
  })
}
