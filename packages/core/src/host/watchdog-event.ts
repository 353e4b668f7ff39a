import type { WatchdogAction } from '../model/platform.ts'
import type { GuestEvent } from '../ports/guest-host.ts'
import type { EventDraft } from '../ha/plan.ts'

const FOLLOWS: Readonly<Record<WatchdogAction, string>> = {
  reset: 'it is reset',
  poweroff: 'it is switched off',
  pause: 'it is stopped where it is, to be looked at',
  none: 'nothing follows',
}

/** A guest's watchdog has struck. */
export function watchdogEvent(
  name: string,
  host: string,
  { action, epoch }: Extract<GuestEvent, { kind: 'watchdog' }>,
): EventDraft {
  return {
    kind: 'guest.watchdog',
    subject: `guest/${name}`,
    message: `${name} does not feed its watchdog on ${host}: ${FOLLOWS[action]}`,
    details: { host, epoch, action },
  }
}
