/** Every network card of every guest: on which network, with which address and limits; found by either. */
import { Link } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import type { GuestView } from '@stead/api/views.ts'
import { nicLimitsText } from '../hardware/limits-text.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useGuests, useLive } from '../live/use-live.ts'
import { FilterField } from '../parts/filter-field.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Panel } from '../parts/page.tsx'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import { filtered } from '../table/row-order.ts'
import classes from './networks-page.module.css'

interface Card {
  readonly guest: GuestView
  readonly nic: GuestView['nics'][number]
}

export function GuestCards() {
  const t = useText()
  const guests = useGuests()
  const isKnown = useLive((state) => state.isKnown)
  const columns = useColumns()
  const [query, setQuery] = useState('')
  const cards = useMemo(() => guests.flatMap((guest) => guest.nics.map((nic): Card => ({ guest, nic }))), [guests])
  const rows = useMemo(() => filtered(cards, query, textOf), [cards, query])
  return (
    <Panel title={t('networks.guests')}>
      <p className={classes.text}>{t('networks.guestsText')}</p>
      {isKnown ? (
        <div className={classes.cards}>
          <FilterField label={t('networks.filter')} value={query} onChange={setQuery} />
          <DataTable
            label={t('networks.guests')}
            rows={rows}
            idOf={({ guest, nic }) => `${guest.id}/${nic.slot}`}
            columns={columns}
            empty={<Empty icon="network" title={t(cards.length === 0 ? 'networks.noCards' : 'guests.noneFound')} />}
          />
        </div>
      ) : (
        <LoadingRows />
      )}
    </Panel>
  )
}

function textOf({ guest, nic }: Card): string {
  return [guest.name, guest.host, nic.mac, nic.network, ...(nic.addresses ?? [])].join(' ')
}

function useColumns(): readonly TableColumn<Card>[] {
  const t = useText()
  const language = useLanguage()
  return useMemo(
    () => [
      {
        id: 'guest',
        title: t('networks.guest'),
        width: 'minmax(120px, 1.2fr)',
        value: ({ guest }) => guest.name,
        cell: ({ guest: { name } }) => (
          <Link to="/guests/$guest" params={{ guest: name }}>
            {name}
          </Link>
        ),
      },
      {
        id: 'host',
        title: t('column.host'),
        width: 'minmax(70px, .6fr)',
        value: ({ guest }) => guest.host ?? '',
        cell: ({ guest }) => guest.host ?? '–',
      },
      {
        id: 'network',
        title: t('networks.network'),
        width: 'minmax(70px, .6fr)',
        wideOnly: true,
        value: ({ nic }) => nic.network,
        cell: ({ nic }) => nic.network.toUpperCase(),
      },
      {
        id: 'mac',
        title: t('networks.mac'),
        width: 'minmax(150px, 1fr)',
        value: ({ nic }) => nic.mac,
        cell: ({ nic }) => <code>{nic.mac}</code>,
      },
      {
        id: 'addresses',
        title: t('networks.fixed'),
        width: 'minmax(120px, 1.2fr)',
        wideOnly: true,
        value: ({ nic }) => nic.addresses?.join(' ') ?? '',
        cell: ({ nic }) => nic.addresses?.join(', ') || '–',
      },
      {
        id: 'limits',
        title: t('networks.limits'),
        width: 'minmax(120px, 1fr)',
        wideOnly: true,
        value: ({ nic }) => nic.limits?.sendBytesPerSecond ?? 0,
        cell: ({ nic }) => nicLimitsText(nic.limits, language) || '–',
      },
    ],
    [t, language],
  )
}
