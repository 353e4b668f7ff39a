/** Types into a guest by its keyboard, no faster than the guest's keyboard controller takes it. */
import type { Chord } from '@stead/core/console/keyboard-layout.ts'
import type { Clock } from '@stead/core/ports/clock.ts'
import { ok, type Result } from '@stead/core/result.ts'
import type { QmpClient } from '../qemu/qmp.ts'

/**
 * A PS/2 keyboard's queue has 16 bytes and a chord takes up to 12 of them; the guest must have fetched those before
 * the next. QEMU does not tell when it has. An idle guest takes a millisecond; one that is emulated on a busy host has
 * been seen to take ten.
 */
export const CHORD_INTERVAL_MS = 30

/** Resolves once all is typed. Fails as soon as QEMU does; what was typed until then has been typed. */
export async function typeChords(
  monitor: Pick<QmpClient, 'execute'>,
  chords: readonly Chord[],
  clock: Clock,
): Promise<Result<void>> {
  for (const chord of chords) {
    const typed = await monitor.execute('input-send-event', { events: keyEvents(chord) })
    if (!typed.ok) return typed
    await clock.sleep(CHORD_INTERVAL_MS)
  }
  return ok()
}

/** All keys down in order, then up in the opposite one. */
export function keyEvents(chord: Chord): readonly object[] {
  const event = (down: boolean) => (key: string) => ({
    type: 'key',
    data: { down, key: { type: 'qcode', data: key } },
  })
  return [...chord.map(event(true)), ...chord.toReversed().map(event(false))]
}
