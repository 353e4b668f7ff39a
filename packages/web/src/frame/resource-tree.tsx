/** The tree of everything at the left: by host, by kind, by tag. Drawn as far as it is seen; walked with the arrow keys. */
import { SegmentedControl } from '@mantine/core'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useMemo, useRef, useState, type KeyboardEvent } from 'react'
import type { TextKey } from '../i18n/language.ts'
import { useText } from '../i18n/texts.ts'
import { useGuests, useHosts } from '../live/use-live.ts'
import { Icon } from '../parts/icon.tsx'
import { StateDot, toneOf } from '../parts/state-badge.tsx'
import classes from './resource-tree.module.css'
import { REST, TREE_ORDERS, treeRows, type TreeOrder, type TreeRow } from './tree-rows.ts'

const ROW_PX = 30

const NAMES: Readonly<Record<string, TextKey>> = {
  'host/': 'tree.notRunning',
  'tag/': 'tree.untagged',
  'kind/vm': 'guests.machines',
  'kind/ct': 'guests.containers',
}

export function ResourceTree() {
  const t = useText()
  const guests = useGuests()
  const hosts = useHosts()
  const navigate = useNavigate()
  const params = useParams({ strict: false }) as { readonly guest?: string; readonly host?: string }
  const [order, setOrder] = useState<TreeOrder>('host')
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set())
  const [cursor, setCursor] = useState<string>()
  const rows = useMemo(() => treeRows(order, guests, hosts, closed), [order, guests, hosts, closed])
  const scroll = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
  })
  const at = rows.findIndex(({ id }) => id === cursor)

  const setOpen = (row: TreeRow, isOpen: boolean) => {
    if (row.kind !== 'group' || row.isOpen === isOpen) return
    const next = new Set(closed)
    if (isOpen) next.delete(row.id)
    else next.add(row.id)
    setClosed(next)
  }
  const goTo = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))]
    if (!row) return
    setCursor(row.id)
    virtual.scrollToIndex(rows.indexOf(row))
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[at]
    if (event.key === 'ArrowDown') goTo(at + 1)
    else if (event.key === 'ArrowUp') goTo(at - 1)
    else if (event.key === 'Home') goTo(0)
    else if (event.key === 'End') goTo(rows.length - 1)
    else if (!row) return
    else if (event.key === 'ArrowRight') setOpen(row, true)
    else if (event.key === 'ArrowLeft') setOpen(row, false)
    else if (event.key === 'Enter' && row.kind === 'leaf')
      void navigate({ to: '/guests/$guest', params: { guest: row.guest.name } })
    else if (event.key === 'Enter' && row.kind === 'group' && row.host)
      void navigate({ to: '/hosts/$host', params: { host: row.host.name } })
    else return
    event.preventDefault()
  }

  return (
    <div className={classes.side}>
      <SegmentedControl
        className={classes.order}
        size="xs"
        fullWidth
        value={order}
        onChange={(value) => setOrder(value as TreeOrder)}
        data={TREE_ORDERS.map((value) => ({ value, label: t(`tree.by.${value}`) }))}
        aria-label={t('tree.order')}
      />
      <div
        ref={scroll}
        className={classes.scroll}
        role="tree"
        tabIndex={0}
        aria-label={t('tree.title')}
        aria-activedescendant={at < 0 ? undefined : rowId(rows[at] as TreeRow)}
        onKeyDown={onKeyDown}
      >
        <div className={classes.rows} role="none" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index] as TreeRow
            const isHere =
              row.kind === 'leaf' ? row.guest.name === params.guest : row.host !== undefined && row.name === params.host
            return (
              <div
                key={row.id}
                id={rowId(row)}
                className={classes.row}
                role="treeitem"
                aria-level={row.kind === 'group' ? 1 : 2}
                aria-expanded={row.kind === 'group' ? row.isOpen : undefined}
                aria-selected={isHere}
                data-cursor={row.id === cursor || undefined}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                {row.kind === 'group' ? (
                  <Group row={row} onToggle={() => setOpen(row, !row.isOpen)} />
                ) : (
                  <Link
                    className={classes.leaf}
                    to="/guests/$guest"
                    params={{ guest: row.guest.name }}
                    tabIndex={-1}
                    onClick={() => setCursor(row.id)}
                  >
                    <span className={classes.kind}>
                      <Icon name={row.guest.kind} size={15} />
                    </span>
                    <span className={classes.name}>{row.guest.name}</span>
                    <span title={t(`state.${row.guest.state}`)}>
                      <StateDot tone={toneOf(row.guest.state)} />
                    </span>
                  </Link>
                )}
              </div>
            )
          })}
        </div>
      </div>
    </div>
  )
}

function Group({ row, onToggle }: { row: Extract<TreeRow, { kind: 'group' }>; onToggle: () => void }) {
  const t = useText()
  const key = NAMES[row.id]
  const name = row.name === REST || key ? t(key ?? 'tree.untagged') : row.name
  return (
    <>
      <button
        type="button"
        className={classes.toggle}
        onClick={onToggle}
        tabIndex={-1}
        aria-label={row.isOpen ? t('tree.close', { name }) : t('tree.open', { name })}
      >
        <Icon name={row.isOpen ? 'down' : 'right'} size={14} />
      </button>
      {row.host ? (
        <Link className={classes.group} to="/hosts/$host" params={{ host: row.host.name }} tabIndex={-1}>
          <Icon name="host" size={15} />
          <span className={classes.name}>{name}</span>
          <span title={t(`state.${row.host.state}`)}>
            <StateDot tone={toneOf(row.host.state)} />
          </span>
        </Link>
      ) : (
        <button type="button" className={classes.group} onClick={onToggle} tabIndex={-1}>
          {row.id.startsWith('tag/') ? <Icon name="tag" size={14} /> : null}
          <span className={classes.name}>{name}</span>
          <span className={classes.count}>{row.count}</span>
        </button>
      )}
    </>
  )
}

function rowId(row: TreeRow): string {
  return `tree-${row.id.replaceAll(/[^\w-]/g, '_')}`
}
