/** Binds a guest's virtual processors to processors of the host, thread by thread. */
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { failure } from '@stead/core/errors.ts'
import { fail, ok, type Result } from '@stead/core/result.ts'

/**
 * QEMU names its threads (`debug-threads=on`): `CPU 0/KVM`, or `CPU 0/TCG`. What QMP tells are ids in the guests' own pid
 * namespace, which mean nothing here.
 */
export function vcpuThreads(pid: number, proc = '/proc'): ReadonlyMap<number, number> {
  const found = new Map<number, number>()
  for (const thread of readdirSync(`${proc}/${pid}/task`)) {
    const [, number] = /^CPU (\d+)\//.exec(readFileSync(`${proc}/${pid}/task/${thread}/comm`, 'utf8')) ?? []
    if (number !== undefined) found.set(Number(number), Number(thread))
  }
  return found
}

export async function pinVcpus(pid: number, cpus: readonly number[]): Promise<Result<void>> {
  const threads = vcpuThreads(pid)
  for (const [number, cpu] of cpus.entries()) {
    const thread = threads.get(number)
    if (thread === undefined) return fail(failure('hypervisor', `QEMU has no thread of processor ${number}`))
    const code = await run('taskset', ['--cpu-list', '--pid', String(cpu), String(thread)])
    if (code !== 0) return fail(failure('hypervisor', `Processor ${number} could not be bound to ${cpu} of the host`))
  }
  return ok()
}

function run(command: string, args: readonly string[]): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'ignore', timeout: 5_000 })
    child.once('error', () => resolve(null))
    child.once('exit', resolve)
  })
}
