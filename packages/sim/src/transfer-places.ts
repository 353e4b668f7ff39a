/** Between what, and over what, a guest's memory goes. */
import type { GuestId } from '@stead/core/model/ids.ts'
import type { MoveStep } from './guest-faults.ts'
import type { MemoryMachine, Process } from './memory-machine.ts'

/** A process and where it is. */
export interface Place {
  /** The host, as the routes know it. */
  readonly host: string
  readonly machine: MemoryMachine
  readonly process: Process
}

/** One that waits for its guest. */
export interface WaitingPlace extends Place {
  readonly port: number
  readonly secret: string
  /** It can take a guest in before all of its memory. */
  readonly postCopy: boolean
}

/** What lies between machines: time, the link, and who waits where. */
export interface TransferRoutes {
  readonly after: (ms: number, run: () => void) => () => void
  /** Packets pass both ways; false also while one of the two has no power. */
  readonly linked: (from: string, to: string) => boolean
  /** False while the machine stands still. */
  readonly runs: (host: string) => boolean
  /** Of a container's move: this step fails there now. */
  readonly fails: (step: MoveStep, guest: GuestId, host: string) => boolean
}

export function isAlive({ machine, process }: Place): boolean {
  return machine.processes.get(process.launch.guest) === process
}

export function giveUp(place: WaitingPlace): void {
  if (isAlive(place) && place.process.status === 'arriving')
    place.machine.end(place.process, 'killed', 'QEMU ended by itself: load of migration failed')
}
