/**
 * Which machine a new guest gets. The unversioned `q35` is another machine with each QEMU; a guest that moves to a host
 * with a newer QEMU must find the one that it knows, so the full name goes into its launch record.
 */
import { execFile } from 'node:child_process'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

const TIMEOUT_MS = 10_000
const known = new Map<string, Promise<Result<string>>>()

/** The newest versioned q35 of this QEMU, `pc-q35-10.0`. Asked once in the life of the agent. */
export function newestMachineType(qemu = 'qemu-system-x86_64'): Promise<Result<string>> {
  const asked = known.get(qemu) ?? ask(qemu)
  known.set(qemu, asked)
  // A failure may pass: the next guest asks again.
  void asked.then((answer) => answer.ok || known.delete(qemu))
  return asked
}

function ask(qemu: string): Promise<Result<string>> {
  return new Promise((resolve) => {
    execFile(qemu, ['-machine', 'help'], { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' }, (error, stdout) => {
      const found = error ? undefined : aliasOfQ35(stdout)
      if (found !== undefined) return resolve(ok(found))
      resolve(
        fail(
          failure('hypervisor', `${qemu} does not say which machine \`q35\` is`, {
            cause: error ?? stdout,
            hint: 'Is qemu-system-x86 installed?',
          }),
        ),
      )
    })
  })
}

/** Reads the list that `-machine help` prints. */
export function aliasOfQ35(help: string): string | undefined {
  return /^q35\s.*\(alias of (pc-q35-\S+)\)/m.exec(help)?.[1]
}
