/** Finding the QEMU of a guest among the host's processes. */
import { readdirSync, readFileSync } from 'node:fs'
import { readPidFile, readStat, type DetachedProcess } from '../process/detached.ts'
import type { GuestFolder } from './launch-record.ts'

/**
 * The guest's QEMU, by its pid file or, when an agent crashed between the start and the pid file, by the socket
 * path in its command line, which no other process has.
 */
export function findProcess(folder: Pick<GuestFolder, 'pidFile' | 'qmpSocket'>): DetachedProcess | undefined {
  const named = readPidFile(folder.pidFile)
  if (named) return named
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (
      !Number.isInteger(pid) ||
      !commandLine(pid).some((argument) => argument.startsWith('socket,id=qmp,') && argument.includes(folder.qmpSocket))
    )
      continue
    const stat = readStat(pid)
    if (stat && stat.state !== 'Z') return { pid, startTime: stat.startTime }
  }
  return undefined
}

function commandLine(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    // It ended meanwhile.
    return []
  }
}
