/**
 * `qemu-img` on files that strangers made: as the guests' unprivileged user, with limits of time, processor, memory and
 * file size, and with the format named. The file is opened through a window (`offset`, `size`), so that a disk inside
 * an OVA is read where it lies and nothing beyond it can be seen.
 */
import { execFile } from 'node:child_process'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'
import type { DiskFormat } from './image-magic.ts'

export interface ImageWindow {
  readonly path: string
  readonly format: DiskFormat
  readonly offset: number
  readonly sizeBytes: number
}

export interface Confinement {
  /** Absent only where the agent itself is unprivileged. */
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Largest file that may be written, bytes. */
  readonly fileBytesMax: number
  readonly timeoutMs: number
  /** Aborted: the program is killed. */
  readonly signal?: AbortSignal
  /** What it prints, piece by piece. */
  readonly onOutput?: (text: string) => void
}

/** qemu-img needs 100 MiB; threads' stacks count too. */
const ADDRESS_SPACE_BYTES = 2 * 2 ** 30
const OUTPUT_BYTES_MAX = 4 << 20

/** `--image-opts` of the file. */
export function imageOptions({ path, format, offset, sizeBytes }: ImageWindow): string {
  const file = `file.driver=raw,file.offset=${offset},file.size=${sizeBytes},file.file.driver=file`
  // QEMU's option parser reads a doubled comma as a comma.
  return `driver=${format},read-only=on,${file},file.file.locking=off,file.file.filename=${path.replaceAll(',', ',,')}`
}

/** What it printed, also when `check` found something to say (exit codes 2 and 3). */
export function confinedQemuImg(args: readonly string[], limits: Confinement): Promise<Result<string>> {
  const { user, fileBytesMax, timeoutMs, signal, onOutput } = limits
  const become = user
    ? ['setpriv', '--pdeathsig=KILL', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--no-new-privs']
    : ['setpriv', '--pdeathsig=KILL', '--no-new-privs']
  // It ends with the agent: one that goes on would write into a folder that the next agent has cleared.
  const command = [
    ...become,
    ...['prlimit', `--as=${ADDRESS_SPACE_BYTES}`, `--cpu=${Math.ceil(timeoutMs / 1000)}`, `--fsize=${fileBytesMax}`],
    ...['--nofile=64', '--core=0', '--', 'qemu-img', ...args],
  ]
  return new Promise((resolve) => {
    const kill = () => void child.kill('SIGKILL')
    const child = execFile(
      command[0] ?? '',
      command.slice(1),
      { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX, env: { PATH: process.env['PATH'] } },
      (error, stdout, stderr) => {
        signal?.removeEventListener('abort', kill)
        if (!error || (args[0] === 'check' && stdout.trim().startsWith('{'))) return resolve(ok(stdout))
        resolve(fail(refusal(args[0] ?? '', stderr.trim() || error.message, error)))
      },
    )
    // `execFile`'s own way would be SIGTERM, and an answer before the program has ended.
    signal?.addEventListener('abort', kill)
    if (signal?.aborted) kill()
    if (onOutput) child.stdout?.on('data', (text: Buffer | string) => onOutput(String(text)))
  })
}

/** As `-p` prints it: `    (12.34/100%)`. The last one of a piece. */
export function percentIn(text: string): number | undefined {
  const found = [...text.matchAll(/\((\d+(?:\.\d+)?)\/100%\)/g)].at(-1)?.[1]
  return found === undefined ? undefined : Number(found)
}

function refusal(
  command: string,
  said: string,
  cause: Error & { readonly killed?: boolean; readonly signal?: unknown },
) {
  if (/No space left|File too large|ENOSPC|EFBIG/i.test(said) || cause.signal === 'SIGXFSZ')
    return failure('no_capacity', 'There is no room on this host for the converted image', {
      hint: "Free space under the agent's state folder, or import at another host.",
      cause: said,
    })
  if (cause.killed || cause.signal === 'SIGXCPU')
    return failure('timeout', 'The image took too long to read', { cause: said })
  // Without the paths of this host, which are nobody's business.
  const words = said.replaceAll(/'[^']*(driver=|json:)[^']*'/g, 'the image').replaceAll(/^qemu-img: /gm, '')
  return failure('invalid_image', `The image cannot be used (qemu-img ${command}): ${words.slice(0, 500)}`, {
    hint: 'Check it where it was made with `qemu-img check`, and export it again.',
    cause: said,
  })
}
