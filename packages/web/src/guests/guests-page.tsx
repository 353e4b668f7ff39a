/** All guests: find, sort, choose several, act on them. */
import { Button, SegmentedControl } from '@mantine/core'
import { Link, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useGuests, useLive } from '../live/use-live.ts'
import { bytesText } from '../parts/figures.ts'
import { FilterField } from '../parts/filter-field.tsx'
import { Icon } from '../parts/icon.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Page, PageHead } from '../parts/page.tsx'
import { ProtectionBadge, StateBadge } from '../parts/state-badge.tsx'
import { Tags } from '../parts/tags.tsx'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import { filtered } from '../table/row-order.ts'
import { GuestActionButtons } from './guest-action-buttons.tsx'
import classes from './guests-page.module.css'

const KINDS = ['all', 'vm', 'ct'] as const

export function GuestsPage() {
  const t = useText()
  const navigate = useNavigate()
  const guests = useGuests()
  const isKnown = useLive((state) => state.isKnown)
  const columns = useColumns()
  const [kind, setKind] = useState<(typeof KINDS)[number]>('all')
  const [query, setQuery] = useState('')
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const rows = useMemo(() => {
    const ofKind = kind === 'all' ? guests : guests.filter((guest) => guest.kind === kind)
    return filtered(ofKind, query, textOf)
  }, [guests, kind, query])
  const chosen = guests.filter(({ id }) => selected.has(id))

  return (
    <Page fills>
      <PageHead
        icon="vm"
        title={t('nav.guests')}
        badges={<span className={classes.count}>{t('guests.count', { count: guests.length })}</span>}
      />
      <div className={classes.tools}>
        <FilterField label={t('guests.filter')} value={query} onChange={setQuery} />
        <SegmentedControl
          value={kind}
          onChange={(value) => setKind(value as typeof kind)}
          data={KINDS.map((value) => ({ value, label: t(`guests.kind.${value}`) }))}
          aria-label={t('column.kind')}
        />
        {chosen.length > 0 ? (
          <div className={classes.chosen} role="group" aria-label={t('guests.chosen', { count: chosen.length })}>
            <span>{t('guests.chosen', { count: chosen.length })}</span>
            <GuestActionButtons guests={chosen} onDone={() => setSelected(new Set())} />
          </div>
        ) : null}
      </div>
      {isKnown ? (
        <DataTable
          label={t('nav.guests')}
          rows={rows}
          idOf={(guest) => guest.id}
          nameOf={(guest) => guest.name}
          columns={columns}
          selected={selected}
          onSelect={setSelected}
          empty={
            guests.length === 0 ? (
              <Empty icon="vm" title={t('guests.none')} text={t('guests.noneText')}>
                <Button onClick={() => void navigate({ to: '/create/machine' })}>{t('create.machine')}</Button>
              </Empty>
            ) : (
              <Empty icon="search" title={t('guests.noneFound')}>
                <Button
                  variant="default"
                  onClick={() => {
                    setQuery('')
                    setKind('all')
                  }}
                >
                  {t('guests.showAll')}
                </Button>
              </Empty>
            )
          }
        />
      ) : (
        <LoadingRows />
      )}
    </Page>
  )
}

function textOf(guest: GuestView): string {
  return [guest.name, guest.host ?? '', guest.state, guest.protection.level, ...guest.tags].join(' ')
}

function useColumns(): readonly TableColumn<GuestView>[] {
  const t = useText()
  const language = useLanguage()
  return useMemo(
    () => [
      {
        id: 'name',
        title: t('word.name'),
        width: 'minmax(104px, 2fr)',
        value: ({ name }) => name,
        cell: (guest) => (
          <Link to="/guests/$guest" params={{ guest: guest.name }} className={classes.name}>
            <Icon name={guest.kind} size={16} />
            {guest.name}
          </Link>
        ),
      },
      {
        id: 'state',
        title: t('column.state'),
        width: 'minmax(84px, 1fr)',
        value: ({ state }) => state,
        cell: ({ state, reason }) => (
          <span title={reason}>
            <StateBadge state={state} />
          </span>
        ),
      },
      {
        id: 'host',
        title: t('column.host'),
        width: 'minmax(60px, .7fr)',
        value: ({ host }) => host ?? '',
        wideOnly: true,
        cell: ({ host }) =>
          host === null ? (
            '–'
          ) : (
            <Link to="/hosts/$host" params={{ host }}>
              {host}
            </Link>
          ),
      },
      {
        id: 'protection',
        title: t('column.protection'),
        width: 'minmax(104px, 1fr)',
        value: ({ protection }) => PROTECTION_ORDER.indexOf(protection.level),
        cell: ({ protection }) => <ProtectionBadge protection={protection} />,
      },
      {
        id: 'cpus',
        title: t('column.cpus'),
        width: '70px',
        align: 'end',
        wideOnly: true,
        value: ({ cpus }) => cpus,
        cell: ({ cpus }) => cpus,
      },
      {
        id: 'memory',
        title: t('column.memory'),
        width: '90px',
        align: 'end',
        wideOnly: true,
        value: ({ memoryBytes }) => memoryBytes,
        cell: ({ memoryBytes }) => bytesText(memoryBytes, language),
      },
      {
        id: 'disks',
        title: t('column.disks'),
        width: '90px',
        align: 'end',
        wideOnly: true,
        value: diskBytes,
        cell: (guest) => bytesText(diskBytes(guest), language),
      },
      {
        id: 'tags',
        title: t('column.tags'),
        width: 'minmax(100px, 1.6fr)',
        wideOnly: true,
        value: ({ tags }) => tags.join(' '),
        cell: ({ tags }) => <Tags tags={tags} oneLine />,
      },
    ],
    [t, language],
  )
}

const PROTECTION_ORDER = ['lost', 'unprotected', 'degraded', 'protected']

function diskBytes({ volumes }: GuestView): number {
  return volumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}
