/** Which consoles a guest has, the one that most people want first. */
import type { ConsoleKind } from '@stead/api/console-protocol.ts'
import type { GuestView } from '@stead/api/views.ts'

export type GuestOfConsole = Pick<GuestView, 'id' | 'name' | 'kind' | 'display' | 'state'>

export function consolesOf({ kind, display }: Pick<GuestView, 'kind' | 'display'>): readonly ConsoleKind[] {
  if (kind === 'ct') return ['shell', 'serial']
  return display === 'vga' ? ['vnc', 'serial'] : ['serial']
}

/** There is something to connect to, or will be in a moment. */
export function hasConsoleNow({ state }: Pick<GuestView, 'state'>): boolean {
  return state === 'running' || state === 'paused' || state === 'starting' || state === 'stopping'
}
