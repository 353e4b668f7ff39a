import { Alert } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { EventList } from '../activity/event-list.tsx'
import { useLive } from '../live/use-live.ts'
import { ageText, bytesText, momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Facts, Panel, Panels } from '../parts/page.tsx'
import { Tags } from '../parts/tags.tsx'
import { useNow } from '../parts/use-now.ts'
import classes from './guest-summary.module.css'

const EVENTS_SHOWN = 6

export function GuestSummary({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const now = useNow()
  const all = useLive((state) => state.events)
  const events = all.filter(({ subject }) => subject === `guest/${guest.name}`).slice(-EVENTS_SHOWN)
  return (
    <>
      {guest.reason === '' ? null : (
        <Alert mb="md" color="yellow" variant="light" icon={<Icon name="warning" />} className={classes.alert}>
          {guest.reason}
        </Alert>
      )}
      {guest.protection.reason === '' ? null : (
        <Alert mb="md" color="yellow" variant="light" icon={<Icon name="shield" />} className={classes.alert}>
          {t(`protection.${guest.protection.level}`)}: {guest.protection.reason}
        </Alert>
      )}
      <Panels>
        <Panel title={t('guest.what')}>
          <Facts
            items={[
              [t('column.cpus'), guest.now?.cpus ?? guest.cpus],
              [t('column.memory'), bytesText(guest.now?.memoryBytes ?? guest.memoryBytes, language)],
              [
                t('column.disks'),
                guest.volumes.map(({ name, sizeBytes }) => `${name}: ${bytesText(sizeBytes, language)}`).join(', ') ||
                  '–',
              ],
              [t('guest.boot'), t(`boot.${guest.boot.kind}`)],
              guest.container ? [t('guest.template'), guest.container.template] : undefined,
              [t('column.tags'), guest.tags.length === 0 ? '–' : <Tags key="tags" tags={guest.tags} />],
              [t('guest.created'), momentText(guest.createdAt, language)],
            ]}
          />
        </Panel>
        <Panel title={t('guest.where')}>
          <Facts
            items={[
              [
                t('column.host'),
                guest.host === null ? (
                  '–'
                ) : (
                  <Link key="host" to="/hosts/$host" params={{ host: guest.host }}>
                    {guest.host}
                  </Link>
                ),
              ],
              [t('guest.replicas'), replicaHosts(guest).join(', ') || '–'],
              [t('guest.ha'), t(`ha.${guest.ha}`)],
              [t('guest.run'), guest.epoch === 0 ? t('guest.neverRan') : guest.epoch],
              guest.readiness
                ? [
                    t('guest.ready'),
                    `${t(guest.readiness.ready ? 'word.yes' : 'word.no')} · ${ageText(Date.parse(guest.readiness.since), now, language)}`,
                  ]
                : undefined,
              [t('guest.addresses'), addressesOf(guest).join(', ') || '–'],
            ]}
          />
        </Panel>
        <Panel title={t('guest.lately')}>
          <EventList events={events} />
        </Panel>
        {guest.notes === '' ? null : (
          <Panel title={t('guest.notes')}>
            <div className={classes.notes}>{guest.notes}</div>
          </Panel>
        )}
      </Panels>
    </>
  )
}

function replicaHosts({ volumes }: GuestView): readonly string[] {
  return [...new Set(volumes.flatMap(({ replicas }) => replicas.map(({ host }) => host)))].toSorted()
}

function addressesOf({ addresses, nics }: GuestView): readonly string[] {
  return addresses ?? nics.flatMap((nic) => nic.addresses ?? [])
}
