/**
 * Incus on the same machine, for comparison: its daemon in namespaces of its own with a root put together from the machine's
 * files, so that it finds, changes and leaves nothing outside its folder. Everything ends with this process.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeCgroup } from '@stead/lab/control-group.ts'
import { controllers, createControllers } from '@stead/lab/controllers.ts'
import { runCommand } from '@stead/lab/run-command.ts'
import { timed } from './bench-container-calls.ts'
import { must } from './bench-lab.ts'

const DAEMON = '/usr/libexec/incus/incusd'
const READY_MS = 30_000

interface Answer {
  readonly type: 'sync' | 'async' | 'error'
  readonly error?: string
  readonly operation?: string
  readonly metadata?: unknown
}

/** A root of the machine's own /usr and /etc with state of its own, since incusd insists on its absolute paths. */
const ENTER = `set -e
cd "$1"
mount --make-rprivate /
mount --bind root root
cd root
mkdir -p usr etc proc sys dev tmp run root old var/lib var/tmp
for folder in usr etc; do mount --bind /$folder $folder; done
for folder in bin sbin lib lib64; do if [ -L /$folder ]; then cp -a /$folder .; else mkdir -p $folder; mount --bind /$folder $folder; fi; done
for folder in tmp run; do mount -t tmpfs none $folder; done
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sys sys
if grep -q ' - cgroup ' /proc/self/mountinfo; then
  mount -t tmpfs none sys/fs/cgroup
  for name in cpu cpuacct cpuset memory devices freezer blkio pids; do mkdir sys/fs/cgroup/$name; mount -t cgroup -o $name none sys/fs/cgroup/$name; done
  mkdir sys/fs/cgroup/systemd; mount -t cgroup -o none,name=systemd none sys/fs/cgroup/systemd
else mount -t cgroup2 none sys/fs/cgroup; fi
echo root:1000000:1000000000 > ids
for file in subuid subgid; do mount --bind ids etc/$file; done
mkdir -p var/lib/incus var/log/incus var/cache/incus run/incus
pivot_root . old
cd /
umount -l /old
ip link set lo up
ip link add br0 type bridge
ip link set br0 up
exec ${DAEMON} --group root`

const CONTROL_GROUP = 'incus'
const JOIN = 'for ((left = $1; left > 0; left--)); do shift; echo $$ > "$1/cgroup.procs"; done; shift; exec "$@"'

export class IncusRig {
  readonly #folder: string
  readonly #daemon: ChildProcess
  #complaints = ''

  private constructor(folder: string) {
    this.#folder = folder
    mkdirSync(join(folder, 'root'))
    // Its containers' control groups outlive it: it gets groups of its own, which are removed with all in them.
    const groups = must(createControllers(CONTROL_GROUP, String(process.pid))).map((group) => group.folder)
    const namespaces = ['--mount', '--net', '--pid', '--fork', '--uts', '--ipc', '--cgroup', '--kill-child']
    const enter = ['setpriv', '--pdeathsig', 'KILL', 'unshare', ...namespaces, 'bash', '-c', ENTER, 'bash', folder]
    this.#daemon = spawn('bash', ['-c', JOIN, 'bash', String(groups.length), ...groups, ...enter], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#daemon.stdout, this.#daemon.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#complaints = (this.#complaints + chunk.toString()).slice(-2_000)))
  }

  static get isInstalled(): boolean {
    return existsSync(DAEMON)
  }

  /** `rootArchive`: a tar.gz of the containers' root; the image is called `root`. Always end it with `close`. */
  static async up(rootArchive: string): Promise<IncusRig> {
    const rig = new IncusRig(mkdtempSync(join(tmpdir(), 'stead-incus-')))
    try {
      await rig.#untilReady()
      await rig.done('POST', '/1.0/storage-pools', { name: 'default', driver: 'dir' })
      const devices = {
        root: { type: 'disk', path: '/', pool: 'default' },
        eth0: { type: 'nic', nictype: 'bridged', parent: 'br0', name: 'eth0' },
      }
      await rig.done('PUT', '/1.0/profiles/default', { devices })
      await rig.#importImage(rootArchive)
      return rig
    } catch (error) {
      await rig.close()
      throw new Error(`Incus did not come up: ${rig.#complaints}`, { cause: error })
    }
  }

  async close(): Promise<void> {
    if (this.#daemon.exitCode === null && this.#daemon.signalCode === null) {
      const gone = new Promise((resolve) => this.#daemon.once('exit', resolve))
      this.#daemon.kill('SIGKILL')
      await gone
    }
    for (const { folder } of controllers(CONTROL_GROUP, String(process.pid))) must(await removeCgroup(folder))
    for (const { folder } of controllers(CONTROL_GROUP)) must(await removeCgroup(folder))
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  /** Host's pid of its daemon, whose parent is `unshare` below `setpriv`'s own process. */
  get daemonPid(): number {
    const pid = this.#daemon.pid ?? 0
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
    return children[0] ?? 0
  }

  /** As Stead's: one request to create, and to start when that is done. */
  async createAndStart(name: string): Promise<number> {
    return timed(async () => {
      const config = { 'limits.memory': '64MiB', 'limits.processes': '50' }
      await this.done('POST', '/1.0/instances', { name, source: { type: 'image', alias: 'root' }, config })
      await this.done('PUT', `/1.0/instances/${name}/state`, { action: 'start' })
    })
  }

  async exec(name: string): Promise<number> {
    const body = { command: ['true'], 'record-output': true, interactive: false }
    return timed(async () => void (await this.done('POST', `/1.0/instances/${name}/exec`, body)))
  }

  async stop(name: string): Promise<number> {
    return timed(
      async () => void (await this.done('PUT', `/1.0/instances/${name}/state`, { action: 'stop', timeout: 30 })),
    )
  }

  async remove(name: string): Promise<void> {
    await this.done('DELETE', `/1.0/instances/${name}`)
  }

  /** The answer; of what takes longer, its end. */
  async done(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.#call(method, path, body)
    if (answer.type === 'error') throw new Error(`Incus: ${answer.error}`)
    if (answer.type === 'sync') return answer.metadata
    const ended = await this.#call('GET', `${answer.operation}/wait?timeout=60`)
    const operation = ended.metadata as { readonly status: string; readonly err: string } | undefined
    if (operation?.status !== 'Success') throw new Error(`Incus: ${operation?.err ?? ended.error}`)
    return operation
  }

  async #untilReady(): Promise<void> {
    const deadline = performance.now() + READY_MS
    while (performance.now() < deadline && this.#daemon.exitCode === null) {
      const answer = existsSync(this.#socket)
        ? await this.#call('GET', '/internal/ready').catch(() => undefined)
        : undefined
      if (answer?.type === 'sync') return
      await sleep(100)
    }
    throw new Error('it does not answer')
  }

  async #importImage(rootArchive: string): Promise<void> {
    const folder = join(this.#folder, 'image')
    mkdirSync(folder)
    const metadata = 'architecture: x86_64\ncreation_date: 1700000000\nproperties: {os: busybox, release: "1"}\n'
    writeFileSync(join(folder, 'metadata.yaml'), metadata)
    const tar = async (...args: readonly string[]) => must(await runCommand('tar', args, { timeoutMs: 60_000 }))
    mkdirSync(join(folder, 'rootfs'))
    await tar('-xzf', rootArchive, '-C', join(folder, 'rootfs'))
    const archive = join(this.#folder, 'image.tar.gz')
    await tar('-czf', archive, '-C', folder, 'metadata.yaml', 'rootfs')
    const curl = ['--silent', '--fail', '--unix-socket', this.#socket, '--data-binary', `@${archive}`]
    const headers = ['--header', 'Content-Type: application/octet-stream']
    const begun = must(
      await runCommand('curl', [...curl, ...headers, 'http://incus/1.0/images'], { timeoutMs: 60_000 }),
    )
    const { operation } = JSON.parse(begun) as Answer
    const ended = (await this.#call('GET', `${operation}/wait?timeout=60`)).metadata as {
      readonly metadata: { readonly fingerprint: string }
    }
    await this.done('POST', '/1.0/images/aliases', { name: 'root', target: ended.metadata.fingerprint })
  }

  /** Below the root that the daemon sees. */
  get #socket(): string {
    return join(this.#folder, 'root', 'var/lib/incus/unix.socket')
  }

  #call(method: string, path: string, body?: unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: this.#socket, method, path, timeout: 70_000 }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.once('end', () => {
          try {
            resolve(JSON.parse(text) as Answer)
          } catch (error) {
            reject(error as Error)
          }
        })
      })
      sent.once('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
}
