/**
 * KVM or emulation? `/dev/kvm` may exist and not work (nested without support, no permission for the guests' user),
 * so the answer needs both: the CPU's flags, and a virtual machine that really runs its firmware.
 */
import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Host } from '@stead/core/model/host.ts'
import { levelOf } from '@stead/core/model/processor.ts'
import type { Log } from '@stead/core/ports/log.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface AcceleratorProbeOptions {
  readonly qemu?: string
  /** Whom guests run as: that user must be able to open /dev/kvm. */
  readonly user?: { readonly uid: number; readonly gid: number }
  readonly log: Log
}

const BOOT_TEST_MS = 3_000
/** What the firmware says first on its debug port. */
const SIGN_OF_LIFE = 'SeaBIOS'

let known: Promise<Accelerator> | undefined

/** Found out once in the life of the agent. */
export function detectAccelerator(options: AcceleratorProbeOptions): Promise<Accelerator> {
  known ??= probe(options)
  return known
}

async function probe(options: AcceleratorProbeOptions): Promise<Accelerator> {
  if (!hasVirtualization(readFileSync('/proc/cpuinfo', 'utf8'))) {
    options.log.info('guests are emulated: the processor offers no virtualization')
    return 'tcg'
  }
  const failed = await bootTest('kvm', options)
  if (failed === undefined) return 'kvm'
  options.log.warn('guests are emulated: the processor offers virtualization but a test machine did not run', {
    reason: failed,
  })
  return 'tcg'
}

/**
 * QEMU's emulation has all flags of x86-64-v3 since 7.2, but Debian's kernel did not get past its processor's set-up with
 * `qemu64` and AVX on QEMU 10.0.2; with v2 it boots, and faster than with `max`.
 */
const EMULATED: NonNullable<Host['processor']> = { level: 2, model: "QEMU's own" }

/** What guests can be shown here. `cpuInfo`: the text of /proc/cpuinfo. */
export function processorFor(accelerator: Host['accelerator'], cpuInfo: string): Host['processor'] {
  if (accelerator === 'none') return undefined
  if (accelerator === 'tcg') return EMULATED
  const field = (name: string) => new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(cpuInfo)?.[1]?.trim() ?? ''
  return { level: levelOf(new Set(field('flags').split(' '))), model: field('model name') }
}

/** Such as `10.0.2`; undefined when QEMU is not there or does not say. */
export async function detectQemuVersion(qemu = 'qemu-system-x86_64'): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(qemu, ['--version'], { timeout: BOOT_TEST_MS })
    return /version (\d+(?:\.\d+)+)/.exec(stdout)?.[1]
  } catch {
    // The guests' starts will say what is wrong with it.
    return undefined
  }
}

/** Reads /proc/cpuinfo's text. */
export function hasVirtualization(cpuInfo: string): boolean {
  return /^flags\s*:.*\b(vmx|svm)\b/m.test(cpuInfo)
}

/** Boots an empty machine until its firmware speaks. Returns why it did not; undefined when it did. */
export function bootTest(
  accelerator: Accelerator,
  options: Omit<AcceleratorProbeOptions, 'log'>,
): Promise<string | undefined> {
  const machine = [
    '-accel',
    accelerator,
    '-machine',
    'q35',
    '-m',
    '32',
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
  ]
  const debugPort = ['-chardev', 'stdio,id=debug,signal=off', '-device', 'isa-debugcon,iobase=0x402,chardev=debug']
  return new Promise((resolve) => {
    const child = spawn(options.qemu ?? 'qemu-system-x86_64', [...machine, ...debugPort], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options.user,
    })
    let said = ''
    let complaint = ''
    let outcome: string | undefined = `no sign of life within ${BOOT_TEST_MS} ms`
    const end = (why: string | undefined) => {
      outcome = why
      child.kill('SIGKILL')
    }
    const timer = setTimeout(() => end(outcome), BOOT_TEST_MS)
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
      if (said.includes(SIGN_OF_LIFE)) end(undefined)
    })
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
    child.once('error', (error) => {
      clearTimeout(timer)
      resolve(error.message)
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve(code === null ? outcome : complaint.trim() || `exit ${code}`)
    })
  })
}
