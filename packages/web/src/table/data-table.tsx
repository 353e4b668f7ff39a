/** A table that draws only the rows that are seen, so that 10,000 scroll like ten. */
import { Checkbox } from '@mantine/core'
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, useMemo, useRef, useState, type ReactNode, type RefObject } from 'react'
import { useText } from '../i18n/texts.ts'
import { Icon } from '../parts/icon.tsx'
import classes from './data-table.module.css'
import { nextOrder, ordered, type Column, type Order } from './row-order.ts'

const ROW_PX = 42

export interface TableColumn<Row> extends Column<Row> {
  readonly title: string
  /** As in `grid-template-columns`. */
  readonly width: string
  readonly cell: (row: Row) => ReactNode
  readonly align?: 'end'
  /** Left out where there is little room. */
  readonly wideOnly?: true
}

export interface DataTableProps<Row> {
  readonly label: string
  readonly rows: readonly Row[]
  readonly idOf: (row: Row) => string
  readonly columns: readonly TableColumn<Row>[]
  /** What a row is called, for those who only hear it; with `selected` and `onSelect`: rows can be chosen. */
  readonly nameOf?: (row: Row) => string
  readonly selected?: ReadonlySet<string>
  readonly onSelect?: (ids: ReadonlySet<string>) => void
  readonly empty: ReactNode
}

export function DataTable<Row>(props: DataTableProps<Row>) {
  const { label, rows, idOf, columns, nameOf, selected, onSelect, empty } = props
  const t = useText()
  const [order, setOrder] = useState<Order>()
  const shown = useMemo(() => ordered(rows, columns, order), [rows, columns, order])
  const scroll = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_PX,
    overscan: 4,
  })
  const toggle = (id: string, isOn: boolean) => {
    const next = new Set(selected)
    if (isOn) next.add(id)
    else next.delete(id)
    onSelect?.(next)
  }
  // Rows that stay as they are must not be drawn again, whoever draws the table.
  const toggled = useRef(toggle)
  toggled.current = toggle
  if (rows.length === 0) return <div className={classes.frame}>{empty}</div>
  const isSelectable = selected !== undefined && onSelect !== undefined && nameOf !== undefined
  const all = isSelectable && shown.every((row) => selected.has(idOf(row)))
  const widths = (some: readonly TableColumn<Row>[]) =>
    [...(isSelectable ? ['22px'] : []), ...some.map(({ width }) => width)].join(' ')
  const style = {
    '--columns': widths(columns),
    '--columns-narrow': widths(columns.filter(({ wideOnly }) => !wideOnly)),
  } as React.CSSProperties

  return (
    <div className={classes.frame} style={style}>
      <div
        ref={scroll}
        className={classes.scroll}
        role="table"
        aria-label={label}
        aria-rowcount={shown.length + 1}
        tabIndex={0}
      >
        <div className={classes.headGroup} role="rowgroup">
          <div className={classes.head} role="row" aria-rowindex={1}>
            {isSelectable ? (
              <span role="columnheader">
                <Checkbox
                  size="xs"
                  aria-label={t('table.selectAll')}
                  checked={all}
                  indeterminate={!all && selected.size > 0}
                  onChange={() => onSelect(all ? new Set() : new Set(shown.map(idOf)))}
                />
              </span>
            ) : null}
            {columns.map((column) => {
              const isSorted = order?.column === column.id
              return (
                <span
                  key={column.id}
                  role="columnheader"
                  className={cellClass(column)}
                  aria-sort={isSorted ? (order.descending ? 'descending' : 'ascending') : 'none'}
                >
                  <button type="button" className={classes.sort} onClick={() => setOrder(nextOrder(order, column.id))}>
                    {column.title}
                    {isSorted ? <Icon name={order.descending ? 'down' : 'up'} size={13} /> : null}
                  </button>
                </span>
              )
            })}
          </div>
        </div>
        <div className={classes.rows} role="rowgroup" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = shown[item.index]
            // Just filtered while it was scrolled far down: where it is now is known after this.
            if (row === undefined) return null
            const id = idOf(row)
            return (
              <TableRow
                key={id}
                row={row as never}
                id={id}
                index={item.index}
                startPx={item.start}
                columns={columns as never}
                name={isSelectable ? nameOf(row) : undefined}
                isSelected={selected?.has(id) ?? false}
                toggled={toggled}
              />
            )
          })}
        </div>
      </div>
    </div>
  )
}

interface TableRowProps {
  readonly row: never
  readonly id: string
  readonly index: number
  readonly startPx: number
  readonly columns: readonly TableColumn<never>[]
  /** Undefined: it cannot be chosen. */
  readonly name: string | undefined
  readonly isSelected: boolean
  readonly toggled: RefObject<(id: string, isOn: boolean) => void>
}

/** Its cells are links, badges and boxes: drawing those of a screen takes longer than a frame. */
const TableRow = memo(function TableRow(props: TableRowProps) {
  const { row, id, index, startPx, columns, name, isSelected, toggled } = props
  const t = useText()
  return (
    <div
      className={classes.row}
      role="row"
      aria-rowindex={index + 2}
      data-selected={isSelected || undefined}
      style={{ transform: `translateY(${startPx}px)` }}
    >
      {name === undefined ? null : (
        <span role="cell">
          <Checkbox
            size="xs"
            aria-label={t('table.select', { name })}
            checked={isSelected}
            onChange={(event) => toggled.current(id, event.currentTarget.checked)}
          />
        </span>
      )}
      {columns.map((column) => (
        <span key={column.id} role="cell" className={cellClass(column)}>
          {column.cell(row)}
        </span>
      ))}
    </div>
  )
})

function cellClass({ align, wideOnly }: { readonly align?: 'end'; readonly wideOnly?: true }): string {
  return [classes.cell, align === 'end' ? classes.end : '', wideOnly ? classes.wideOnly : ''].join(' ')
}
