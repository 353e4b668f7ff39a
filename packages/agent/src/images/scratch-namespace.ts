/**
 * Where programs work on what strangers made: user ids that own nothing on this host, no network, no sight of any
 * process, and a root of their own that holds the host's programs and the folders given. In there they are root over
 * 65,536 ids, so that files get the owners that the archive says; outside those ids are nobody's.
 *
 * Made of util-linux alone: a process that waits holds the user namespace (its map is written by the agent, which is
 * root), each program enters it and makes the other namespaces. When the agent dies, the waiting process reads the end
 * of its input; a program is killed with its whole pid namespace.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { failure } from '@stead/core/errors.ts'
import { IDS_PER_CONTAINER, SCRATCH_ID_BASE } from '@stead/core/model/container.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const IDS = IDS_PER_CONTAINER

const ADDRESS_SPACE_BYTES = 2 * 2 ** 30
const COMPLAINT_BYTES_MAX = 64 * 1024
const READY_MS_MAX = 10_000

/** $1: an empty folder, $2: pairs of NAME PATH, ended by `--`; the command follows. */
const ENTER = `set -e
root=$1; shift
mount -t tmpfs -o size=1m,mode=755 none "$root"
for d in usr bin sbin lib lib32 lib64 libx32; do
  if [ -L /$d ]; then ln -s "$(readlink /$d)" "$root/$d"
  elif [ -d /$d ]; then mkdir "$root/$d"; mount --rbind /$d "$root/$d"; fi
done
mkdir "$root/proc" "$root/old" "$root/tmp"
mount -t proc none "$root/proc"
while [ "$1" != -- ]; do mkdir "$root/$1"; mount --bind "$2" "$root/$1"; shift 2; done
shift
cd "$root"; pivot_root . old; cd /
umount -l /old; rmdir /old
exec "$@"`

export interface ScratchCommand {
  readonly command: readonly string[]
  /** Folders of the host by their names in the namespace's root. */
  readonly folders?: Readonly<Record<string, string>>
  /** A file's descriptor, or `pipe`; nothing when absent. */
  readonly input?: number | 'pipe'
  readonly timeoutMs: number
  /** Largest file that may be written. */
  readonly fileBytesMax?: number
}

export interface ScratchProcess {
  readonly child: ChildProcessByStdio<Writable | null, Readable, Readable>
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<ScratchEnd>
}

export interface ScratchEnd {
  readonly ok: boolean
  readonly complaint: string
  readonly timedOut: boolean
}

export class ScratchNamespace implements AsyncDisposable {
  readonly #folder: string
  readonly #holder: ChildProcessByStdio<Writable, Readable, null>
  readonly #running = new Set<ScratchProcess>()
  readonly #signal: AbortSignal | undefined
  #stages = 0

  private constructor(
    folder: string,
    holder: ChildProcessByStdio<Writable, Readable, null>,
    signal: AbortSignal | undefined,
  ) {
    this.#folder = folder
    this.#holder = holder
    this.#signal = signal
    signal?.addEventListener('abort', this.#killAll)
  }

  readonly #killAll = () => {
    for (const { child } of this.#running) child.kill('SIGKILL')
  }

  /**
   * `folder`: an empty one, on a path that everybody may walk; it goes with the namespace. `signal`, when aborted, ends
   * what runs in it and whatever is started later.
   */
  static async open(folder: string, signal?: AbortSignal): Promise<Result<ScratchNamespace>> {
    const holder = spawn('unshare', ['--user', '--', 'sh', '-c', 'echo ready; exec cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: environment(),
    })
    const opened = new ScratchNamespace(folder, holder, signal)
    try {
      const ended = once(holder, 'exit').then(() => Promise.reject(new Error('unshare ended')))
      ended.catch(() => undefined)
      const late = AbortSignal.timeout(READY_MS_MAX)
      await Promise.race([once(holder.stdout, 'data', { signal: late }), ended])
      const map = `0 ${SCRATCH_ID_BASE} ${IDS}\n`
      for (const ids of ['uid', 'gid']) await writeFile(`/proc/${holder.pid}/${ids}_map`, map)
      return ok(opened)
    } catch (cause) {
      await opened[Symbol.asyncDispose]()
      return fail(
        failure('internal', 'This host gives no user namespace to unpack in', {
          hint: 'The agent must be root, and user.max_user_namespaces (sysctl) not 0.',
          cause,
        }),
      )
    }
  }

  /** A new folder that the namespace's root owns. */
  async folder(name: string): Promise<string> {
    const path = join(this.#folder, name)
    await mkdir(path, { mode: 0o755 })
    await chown(path, SCRATCH_ID_BASE, SCRATCH_ID_BASE)
    return path
  }

  async start({ command, folders = {}, input, timeoutMs, fileBytesMax }: ScratchCommand): Promise<ScratchProcess> {
    const stage = await this.folder(`stage-${this.#stages++}`)
    const limits = [
      ...[`--as=${ADDRESS_SPACE_BYTES}`, `--cpu=${Math.ceil(timeoutMs / 1000)}`, '--core=0', '--nofile=256'],
      ...(fileBytesMax === undefined ? [] : [`--fsize=${fileBytesMax}`]),
    ]
    const enter = ['nsenter', '--target', String(this.#holder.pid), '--user', '--']
    // They end with the agent: `unshare` by this signal, which entering a user namespace would have cleared, and its pid
    // namespace with it.
    const unshare = [
      ...['setpriv', '--pdeathsig=KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child'],
      ...['--net', '--ipc', '--uts', '--'],
    ]
    const inside = [
      'setpriv',
      '--no-new-privs',
      'sh',
      '-c',
      ENTER,
      'sh',
      stage,
      ...Object.entries(folders).flat(),
      '--',
    ]
    const args = [...limits, '--', ...enter, ...unshare, ...inside, ...command]
    const child = spawn('prlimit', args, {
      stdio: [input ?? 'ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      env: environment(),
    }) as ChildProcessByStdio<Writable | null, Readable, Readable>
    let complaint = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (complaint.length < COMPLAINT_BYTES_MAX) complaint += text
    })
    // A program that ends before it has read its input is judged by its exit code.
    child.stdin?.on('error', () => undefined)
    const ended = new Promise<ScratchEnd>((resolve) => {
      child.on('error', (cause) => resolve({ ok: false, complaint: cause.message, timedOut: false }))
      child.on('close', (code, signal) =>
        resolve({
          ok: code === 0,
          complaint: complaint.trim(),
          timedOut: signal === 'SIGKILL' || signal === 'SIGXCPU',
        }),
      )
    })
    const started = { child, ended }
    this.#running.add(started)
    if (this.#signal?.aborted) child.kill('SIGKILL')
    void ended.then(() => this.#running.delete(started))
    return started
  }

  /** What it printed. */
  async run(command: ScratchCommand): Promise<ScratchEnd & { readonly output: string }> {
    const { child, ended } = await this.start(command)
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    return { ...(await ended), output }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#killAll)
    this.#killAll()
    await Promise.all([...this.#running].map(({ ended }) => ended))
    const gone = this.#holder.exitCode === null && this.#holder.signalCode === null ? once(this.#holder, 'exit') : null
    this.#holder.kill('SIGKILL')
    await gone
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' }
}
