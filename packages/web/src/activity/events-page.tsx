/** What happened in the cluster, the newest first. */
import { Button } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { ClusterEvent } from '@stead/core/model/event.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { momentText } from '../parts/figures.ts'
import { FilterField } from '../parts/filter-field.tsx'
import { Empty, Page, PageHead } from '../parts/page.tsx'
import { StateDot } from '../parts/state-badge.tsx'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import { filtered } from '../table/row-order.ts'
import classes from './events-page.module.css'
import { EventExplanation } from './event-explanation.tsx'
import { eventTone } from './event-tone.ts'

export function EventsPage() {
  const t = useText()
  const language = useLanguage()
  const events = useLive((state) => state.events)
  const [query, setQuery] = useState('')
  const [explained, setExplained] = useState<ClusterEvent>()
  const rows = useMemo(
    () =>
      filtered(
        events.toReversed(),
        query,
        ({ kind, subject, message, host }) => `${kind} ${subject} ${message} ${host}`,
      ),
    [events, query],
  )
  const columns = useMemo(
    (): readonly TableColumn<ClusterEvent>[] => [
      {
        id: 'time',
        title: t('column.time'),
        width: 'minmax(190px, .9fr)',
        wideOnly: true,
        value: ({ time }) => time,
        cell: ({ time }) => momentText(time, language),
      },
      {
        id: 'kind',
        title: t('column.event'),
        width: 'minmax(150px, .9fr)',
        value: ({ kind }) => kind,
        cell: ({ kind }) => (
          <span className={classes.kind}>
            <StateDot tone={eventTone(kind)} /> {kind}
          </span>
        ),
      },
      {
        id: 'message',
        title: t('column.message'),
        width: 'minmax(140px, 3fr)',
        value: ({ message }) => message,
        cell: ({ message }) => <span title={message}>{message}</span>,
      },
      {
        id: 'host',
        title: t('column.reporter'),
        width: '90px',
        wideOnly: true,
        value: ({ host }) => host,
        cell: ({ host }) => host,
      },
      {
        id: 'why',
        title: t('events.whyColumn'),
        width: '110px',
        value: () => '',
        cell: (event) => (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={t('events.whyOne', { message: event.message })}
            onClick={() => setExplained(event)}
          >
            {t('events.why')}
          </Button>
        ),
      },
    ],
    [t, language],
  )
  return (
    <Page fills>
      <PageHead icon="event" title={t('nav.events')} />
      <FilterField label={t('events.filter')} value={query} onChange={setQuery} />
      <DataTable
        label={t('nav.events')}
        rows={rows}
        idOf={({ id }) => id}
        columns={columns}
        empty={<Empty icon="event" title={t('events.none')} />}
      />
      {explained ? <EventExplanation event={explained} onClose={() => setExplained(undefined)} /> : null}
    </Page>
  )
}
