/** Processes of containers as their host sees them. */
import { readFileSync, statSync } from 'node:fs'
import { pidInside } from '../process/noted-end.ts'

export interface ContainerProcess {
  readonly hostPid: number
  /** As the container counts. */
  readonly pid: number
  readonly command: string
}

export function describeProcess(hostPid: number): ContainerProcess | undefined {
  const pid = pidInside(hostPid)
  if (pid === undefined) return undefined
  const line = readText(`/proc/${hostPid}/cmdline`).replaceAll('\0', ' ').trim()
  return { hostPid, pid, command: line || readText(`/proc/${hostPid}/comm`).trim() }
}

/** The file that it executes, whatever its path is called in its mount namespace. */
export function programOf(pid: number | undefined): string | undefined {
  if (pid === undefined) return undefined
  try {
    const { dev, ino } = statSync(`/proc/${pid}/exe`)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}

export function sendSignal(pid: number, name: NodeJS.Signals | number): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
