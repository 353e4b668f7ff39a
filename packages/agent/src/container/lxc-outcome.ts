/** What LXC leaves in a container's folder of a start that failed, and of a run that has ended. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readText } from './lxc-processes.ts'

const SIGKILL = 9
const ERROR_BYTES_MAX = 2_000

export interface ContainerExit {
  /**
   * `halted`: its init ended in order, as after `poweroff` inside; `crashed`: by an error or a signal. The kernel does not tell a halt
   * from a SIGKILL of init (out of memory, say), and before Linux 6.15 nothing of how init ended: both count as halted.
   */
  readonly how: 'halted' | 'crashed'
  /** Of lxc-start; undefined when it was killed together with its keeper. */
  readonly code: number | undefined
}

export function readExit(folder: string): ContainerExit {
  try {
    const [code, signal, init = -1] = readFileSync(join(folder, 'exit'), 'utf8').trim().split(' ').map(Number)
    // Wait status of init. reboot(2) in a pid namespace ends it by SIGKILL: nothing tells a halt from a SIGKILL by somebody else.
    const halted = code === 0 && signal === 0 && (init <= 0 || init === SIGKILL)
    return { how: halted ? 'halted' : 'crashed', code: signal ? 128 + signal : code }
  } catch {
    return { how: 'crashed', code: undefined }
  }
}

/** The first error of its log; LXC's later ones say only that the step above it failed too. */
export function whyNot(folder: string): string {
  const log = readText(join(folder, 'lxc.log'))
  const error = log.split('\n').find((line) => line.includes(' ERROR '))
  const said = error?.replace(/^.*? ERROR\s+\S+ - \S+:\d+ - /, '') ?? readText(join(folder, 'lxc.out')).trim()
  return said.slice(0, ERROR_BYTES_MAX) || 'it gave no reason'
}
