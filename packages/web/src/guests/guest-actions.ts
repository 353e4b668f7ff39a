/**
 * What can be done to a guest now, and why not the rest: one place for buttons, menus and the command palette. The agents
 * decide; this only keeps people from asking for what would be refused.
 */
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView, OperationView } from '@stead/api/views.ts'
import type { Privilege } from '@stead/core/access/privilege.ts'
import type { Result } from '@stead/core/result.ts'
import type { TextKey } from '../i18n/language.ts'
import type { Consent } from '../parts/change-dialog.tsx'
import type { IconName } from '../parts/icon.tsx'

export const GUEST_ACTIONS = ['start', 'stop', 'restart', 'move', 'snapshot', 'delete'] as const
export type GuestAction = (typeof GUEST_ACTIONS)[number]

export const ACTION_ICONS: Readonly<Record<GuestAction, IconName>> = {
  start: 'play',
  stop: 'stop',
  restart: 'restart',
  move: 'move',
  snapshot: 'camera',
  delete: 'trash',
}

/** What who asks must be allowed on the guest. */
export const ACTION_PRIVILEGES: Readonly<Record<GuestAction, Privilege>> = {
  start: ENDPOINTS['guest.start'].permission,
  stop: ENDPOINTS['guest.stop'].permission,
  restart: ENDPOINTS['guest.restart'].permission,
  move: ENDPOINTS['guest.migrate'].permission,
  snapshot: ENDPOINTS['snapshot.create'].permission,
  delete: ENDPOINTS['guest.delete'].permission,
}

/** Undefined: it can be done. Otherwise why not. */
export type Obstacle = TextKey | undefined

type Facts = Pick<GuestView, 'state' | 'protectedFrom' | 'moveTo' | 'migration' | 'volumes'>

const ENDS: ReadonlySet<GuestView['state']> = new Set(['stopped', 'error'])
const RUNS: ReadonlySet<GuestView['state']> = new Set(['running', 'paused'])

export function obstacleTo(action: GuestAction, guest: Facts): Obstacle {
  if (guest.state === 'deleting') return 'obstacle.deleting'
  if (guest.state === 'creating' && action !== 'delete') return 'obstacle.creating'
  if (action === 'start') return ENDS.has(guest.state) ? undefined : 'obstacle.runs'
  if (action === 'delete') return guest.protectedFrom.length > 0 ? 'obstacle.protectedFromDelete' : undefined
  if (action === 'snapshot') return guest.volumes.length === 0 ? 'obstacle.noDisk' : undefined
  if (ENDS.has(guest.state) && action !== 'move') return 'obstacle.stopped'
  if (action === 'stop') return guest.protectedFrom.includes('stop') ? 'obstacle.protectedFromStop' : undefined
  if (guest.moveTo !== null || guest.migration !== null) return 'obstacle.moves'
  return action === 'move' || RUNS.has(guest.state) ? undefined : 'obstacle.notSettled'
}

/** Of several guests: why the action can be done to none of them. */
export function obstacleToAll(action: GuestAction, guests: readonly Facts[]): Obstacle {
  const obstacles = guests.map((guest) => obstacleTo(action, guest))
  return obstacles.some((obstacle) => obstacle === undefined) ? undefined : obstacles[0]
}

/** What a person has filled in before he confirms. */
export interface ActionChoice {
  readonly force: boolean
  readonly to: string | undefined
  readonly live: boolean
  /** It may go on there before all of its memory has come. */
  readonly postCopy: boolean
  readonly snapshotName: string
  readonly memory: boolean
}

/** What a snapshot is called unless somebody says otherwise. */
export function snapshotNameNow(): string {
  const [day = '', time = ''] = new Date().toISOString().split('T')
  return `s-${day}-${time.slice(0, 5).replace(':', '')}`
}

export async function perform(
  client: Client,
  action: GuestAction,
  guest: string,
  choice: ActionChoice,
  consent: Consent = {},
): Promise<Result<{ readonly operation: OperationView }>> {
  const params = { guest }
  switch (action) {
    case 'start':
      return client.call(ENDPOINTS['guest.start'], { params, body: consent })
    case 'stop':
      return client.call(ENDPOINTS['guest.stop'], { params, body: { force: choice.force } })
    case 'restart':
      return client.call(ENDPOINTS['guest.restart'], { params })
    case 'move': {
      if (!choice.live && choice.to !== undefined)
        return client.call(ENDPOINTS['guest.relocate'], { params, body: { to: choice.to } })
      const { to, postCopy } = choice
      const body = { ...(to === undefined ? {} : { to }), ...(postCopy ? { postCopy } : {}) }
      return client.call(ENDPOINTS['guest.migrate'], { params, body })
    }
    case 'snapshot': {
      const body = { name: choice.snapshotName, memory: choice.memory }
      return client.call(ENDPOINTS['snapshot.create'], { params, body })
    }
    case 'delete':
      return client.call(ENDPOINTS['guest.delete'], { params })
  }
}
