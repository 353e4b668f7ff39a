/** One host with containers for tests of moves, run by `two-hosts-fixture.ts` in namespaces of its own: FOLDER CRIU. */
import { execFileSync } from 'node:child_process'
import { LxcGuestHost } from '../lxc-guest-host.ts'
import { FRONT_USER, NATIVE, quietLog } from '../lxc-launch-fixture.ts'
import { serveCalls } from './process-calls-fixture.ts'

const BRIDGE = 'br0'
const [containersFolder = '', criu = ''] = process.argv.slice(2)

/** What is done to the host itself. */
export class HostControl {
  async connect(link: string, address: string): Promise<void> {
    execFileSync('sh', ['-ec', 'ip address add "$1/24" dev "$0" && ip link set "$0" up', link, address])
  }

  /** As its own processes are numbered. */
  async kill(pid: number): Promise<void> {
    process.kill(pid, 'SIGKILL')
  }

  async restartAgent(): Promise<void> {
    host.close()
    host = newHost()
  }
}

function newHost(): LxcGuestHost {
  return new LxcGuestHost({
    ...{ containersFolder, nativeDir: NATIVE, user: FRONT_USER, criu, bridge: BRIDGE, log: quietLog },
    namespacePid: async () => undefined,
  })
}

execFileSync('ip', ['link', 'add', BRIDGE, 'type', 'bridge'])
let host = newHost()
const control = new HostControl()
serveCalls({ guests: () => host, migration: () => host.migration, control: () => control })
