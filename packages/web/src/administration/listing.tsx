/** A list of what is administered: filter it, make one more, act on each. */
import type { ReactNode } from 'react'
import { useMemo, useState } from 'react'
import { useText } from '../i18n/texts.ts'
import { Answered, type Asked } from '../parts/answered.tsx'
import { FilterField } from '../parts/filter-field.tsx'
import { Icon, type IconName } from '../parts/icon.tsx'
import { Empty } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import { filtered } from '../table/row-order.ts'
import classes from './listing.module.css'

export interface RowAction<Row> {
  readonly text: string
  readonly refusal: (row: Row) => string | undefined
  readonly onClick: (row: Row) => void
}

export interface ListingProps<Row> {
  readonly label: string
  readonly icon: IconName
  readonly asked: Asked<{ readonly items: readonly Row[] }>
  readonly idOf: (row: Row) => string
  /** What a row is called; absent: as its id. */
  readonly nameOf?: (row: Row) => string
  readonly textOf: (row: Row) => string
  readonly columns: readonly TableColumn<Row>[]
  readonly actions: readonly RowAction<Row>[]
  readonly create?: { readonly text: string; readonly refusal: string | undefined; readonly onClick: () => void }
  readonly aside?: ReactNode
  /** Something else stands below it. */
  readonly isShort?: true
  readonly none: string
}

const ACTION_PX = 104

export function Listing<Row>(props: ListingProps<Row>) {
  const { label, icon, asked, idOf, textOf, columns, actions, create, nameOf = idOf } = props
  const t = useText()
  const [query, setQuery] = useState('')
  const all = useMemo(
    () => (actions.length === 0 ? columns : [...columns, actionColumn(t('admin.actions'), actions, nameOf)]),
    [columns, actions, t],
  )
  return (
    <Answered asked={asked}>
      {({ items }) => (
        <div className={classes.column} data-short={props.isShort}>
          <div className={classes.tools}>
            <FilterField label={t('admin.filter')} value={query} onChange={setQuery} />
            {props.aside}
            {create ? (
              <RefusableButton
                className={classes.create ?? ''}
                leftSection={<Icon name="plus" size={16} />}
                refusal={create.refusal}
                onClick={create.onClick}
              >
                {create.text}
              </RefusableButton>
            ) : null}
          </div>
          <DataTable
            label={label}
            rows={filtered(items, query, textOf)}
            idOf={idOf}
            columns={all}
            empty={<Empty icon={icon} title={items.length === 0 ? props.none : t('guests.noneFound')} />}
          />
        </div>
      )}
    </Answered>
  )
}

/** The first column of most lists; what more is known of a row is told when one points at its name. */
export function nameColumn<Row extends { readonly name: string }>(
  title: string,
  width: string,
  aboutOf: (row: Row) => string,
): TableColumn<Row> {
  return {
    ...{ id: 'name', title, width },
    value: ({ name }) => name,
    cell: (row) => <strong title={aboutOf(row)}>{row.name}</strong>,
  }
}

function actionColumn<Row>(
  title: string,
  actions: readonly RowAction<Row>[],
  nameOf: (row: Row) => string,
): TableColumn<Row> {
  return {
    id: 'actions',
    title,
    width: `${actions.length * ACTION_PX}px`,
    value: () => '',
    cell: (row) => (
      <span className={classes.actions}>
        {actions.map((action) => (
          <RefusableButton
            key={action.text}
            size="compact-xs"
            variant="default"
            refusal={action.refusal(row)}
            // For those who only hear it: which row's.
            aria-label={`${action.text}: ${nameOf(row)}`}
            onClick={() => action.onClick(row)}
          >
            {action.text}
          </RefusableButton>
        ))}
      </span>
    ),
  }
}
