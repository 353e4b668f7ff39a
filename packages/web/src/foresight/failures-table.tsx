/** All that can fail as a table, the worst first: the map for those who do not see it, and for big clusters. */
import { useMemo } from 'react'
import type { FailingThing, SingleFailureView } from '@stead/api/foresight-view.ts'
import type { HostView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { durationText } from '../parts/figures.ts'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty } from '../parts/page.tsx'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import { addressOf, thingsOf } from './failing-thing.ts'
import { useThingName } from './thing-name.ts'
import { useSingleFailures } from './use-single-failures.ts'
import classes from './what-if-page.module.css'

interface Row {
  readonly address: string
  readonly thing: FailingThing
  /** Undefined: it touches no guest and no data. */
  readonly view: SingleFailureView | undefined
}

export interface FailuresTableProps {
  readonly hosts: readonly HostView[]
  readonly chosen: FailingThing | undefined
  readonly onChoose: (thing: FailingThing) => void
}

export function FailuresTable({ hosts, chosen, onChoose }: FailuresTableProps) {
  const t = useText()
  const answer = useSingleFailures()
  const columns = useColumns(chosen, onChoose)
  const items = answer.data?.ok ? answer.data.value.items : undefined
  const rows = useMemo((): readonly Row[] => {
    const harmful = (items ?? []).map((view) => ({ address: addressOf(view.suppose), thing: view.suppose, view }))
    const known = new Set(harmful.map(({ address }) => address))
    const harmless = thingsOf(hosts)
      .map((thing) => ({ address: addressOf(thing), thing, view: undefined }))
      .filter(({ address }) => !known.has(address))
    return [...harmful, ...harmless]
  }, [items, hosts])
  if (!answer.data) return <LoadingRows />
  if (!answer.data.ok) return <FailureAlert failure={answer.data.error} />
  return (
    <div className={classes.table}>
      <DataTable
        label={t('overview.ifFails')}
        rows={rows}
        idOf={({ address }) => address}
        columns={columns}
        empty={<Empty icon="host" title={t('overview.nothingFails')} />}
      />
    </div>
  )
}

function useColumns(chosen: FailingThing | undefined, onChoose: (thing: FailingThing) => void) {
  const t = useText()
  const language = useLanguage()
  const nameOf = useThingName()
  const down = ({ view }: Row) => view?.sums.down ?? 0
  const longest = ({ view }: Row) => view?.sums.longestDownMs ?? 0
  const stay = ({ view }: Row) => view?.sums.stayDown ?? 0
  const oneCopy = ({ view }: Row) => (view ? view.sums.lastCopies + view.sums.outOfReach : 0)
  const number = (id: string, title: string, value: (row: Row) => number): TableColumn<Row> => ({
    ...{ id, title, width: '92px', align: 'end', value },
    cell: (row) => (value(row) === 0 ? '–' : value(row)),
  })
  const columns: readonly TableColumn<Row>[] = [
    {
      id: 'thing',
      title: t('whatIf.column.if'),
      width: 'minmax(130px, 1.5fr)',
      value: ({ thing }) => nameOf(thing),
      cell: ({ thing, address }) => (
        <button
          type="button"
          className={classes.thing}
          aria-pressed={chosen !== undefined && addressOf(chosen) === address}
          onClick={() => onChoose(thing)}
        >
          {nameOf(thing)}
        </button>
      ),
    },
    number('down', t('whatIf.column.down'), down),
    {
      ...number('longest', t('whatIf.column.longest'), longest),
      cell: (row) => (longest(row) === 0 ? '–' : durationText(longest(row), language)),
    },
    number('stay', t('whatIf.column.stay'), stay),
    { ...number('copies', t('whatIf.column.oneCopy'), oneCopy), wideOnly: true },
  ]
  return columns
}
