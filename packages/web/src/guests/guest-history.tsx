import type { GuestView } from '@stead/api/views.ts'
import { EventList } from '../activity/event-list.tsx'
import { useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { Panel } from '../parts/page.tsx'

/** What happened to the guest and to its disks. */
export function GuestHistory({ guest }: { guest: GuestView }) {
  const t = useText()
  const all = useLive((state) => state.events)
  const subjects = new Set([`guest/${guest.name}`, ...guest.volumes.map(({ id }) => `volume/${id}`)])
  return (
    <Panel title={t('tab.history')}>
      <EventList events={all.filter(({ subject }) => subjects.has(subject))} />
    </Panel>
  )
}
