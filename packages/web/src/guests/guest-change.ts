/** Why what can be changed of a guest cannot be changed now; the agents decide, this keeps people from being refused. */
import type { GuestView } from '@stead/api/views.ts'
import type { Obstacle } from './guest-actions.ts'

export const GUEST_CHANGES = [
  'resize',
  'machine',
  'medium',
  'cloudInit',
  'addDisk',
  'addNic',
  'clone',
  'template',
  'export',
  'assign',
] as const
export type GuestChange = (typeof GUEST_CHANGES)[number]

type Facts = Pick<GuestView, 'state' | 'kind' | 'template' | 'volumes' | 'nics' | 'media' | 'moveTo' | 'migration'>

const DISKS_MAX = 12
const NICS_MAX = 4
const AT_REST: ReadonlySet<GuestView['state']> = new Set(['stopped', 'error'])
/** What needs the disks to hold still, or the machine to be built anew. */
const WHILE_STOPPED: ReadonlySet<GuestChange> = new Set(['machine', 'clone', 'template', 'export'])
/** What changes the hardware of a guest that may run. */
const HARDWARE: ReadonlySet<GuestChange> = new Set(['resize', 'medium', 'addDisk', 'addNic'])

/** Undefined: it can be asked for. */
export function obstacleToChange(change: GuestChange, guest: Facts): Obstacle {
  if (guest.state === 'deleting') return 'obstacle.deleting'
  if (guest.state === 'creating') return 'obstacle.creating'
  if (change === 'template' && guest.template) return 'obstacle.template'
  // What a template holds was put aside when it became one.
  if (change === 'clone' && guest.template) return undefined
  if (change === 'medium' && guest.media.cdrom === null && !AT_REST.has(guest.state)) return 'obstacle.noDrive'
  if (WHILE_STOPPED.has(change) && !AT_REST.has(guest.state)) return 'obstacle.running'
  if (HARDWARE.has(change) && (guest.moveTo !== null || guest.migration !== null)) return 'obstacle.moves'
  if (change === 'addDisk' && guest.volumes.length >= DISKS_MAX) return 'obstacle.disksFull'
  if (change === 'addNic' && guest.nics.length >= NICS_MAX) return 'obstacle.nicsFull'
  if ((change === 'export' || change === 'template') && guest.volumes.length === 0) return 'obstacle.noDisk'
  return undefined
}
