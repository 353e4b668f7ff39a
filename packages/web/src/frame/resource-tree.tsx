/** The tree of everything at the left: by host, by project, by kind, by tag. Drawn as far as it is seen; walked with the arrow keys. */
import { SegmentedControl } from '@mantine/core'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, useMemo, useRef, useState, type KeyboardEvent, type RefObject } from 'react'
import type { GuestView, HostView } from '@stead/api/views.ts'
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
    overscan: 6,
  })
  const at = rows.findIndex(({ id }) => id === cursor)

  const setOpen = (row: TreeRow, isOpen: boolean) => {
    if (row.kind === 'group' && row.isOpen !== isOpen) pressed.current.group(row.id, isOpen)
  }
  const pressed = useRef<Pressed>({
    leaf: setCursor,
    group: (id, isOpen) =>
      setClosed((before) => {
        const next = new Set(before)
        if (isOpen) next.delete(id)
        else next.add(id)
        return next
      }),
  })
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
        aria-activedescendant={at < 0 ? undefined : rowId((rows[at] as TreeRow).id)}
        onKeyDown={onKeyDown}
      >
        <div className={classes.rows} role="none" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index]
            // Just closed while it was scrolled far down: where it is now is known after this.
            if (!row) return null
            const isHere =
              row.kind === 'leaf' ? row.guest.name === params.guest : row.host !== undefined && row.name === params.host
            return (
              <Row
                key={row.id}
                id={row.id}
                startPx={item.start}
                isHere={isHere}
                isCursor={row.id === cursor}
                {...(row.kind === 'leaf'
                  ? { guest: row.guest }
                  : { name: row.name, host: row.host, count: row.count, isOpen: row.isOpen })}
                pressed={pressed}
              />
            )
          })}
        </div>
      </div>
    </div>
  )
}

interface RowProps {
  readonly id: string
  readonly startPx: number
  readonly isHere: boolean
  readonly isCursor: boolean
  /** Of a leaf; what follows is of a group. */
  readonly guest?: GuestView
  readonly name?: string
  readonly host?: HostView | undefined
  readonly count?: number
  readonly isOpen?: boolean
  readonly pressed: RefObject<Pressed>
}

interface Pressed {
  readonly leaf: (id: string) => void
  readonly group: (id: string, isOpen: boolean) => void
}

/** Drawn again only when something of its own is another: rows are made anew with each change of any guest. */
const Row = memo(function Row(props: RowProps) {
  const { id, startPx, isHere, isCursor, guest, isOpen } = props
  return (
    <div
      id={rowId(id)}
      className={classes.row}
      role="treeitem"
      aria-level={guest ? 2 : 1}
      aria-expanded={isOpen}
      aria-selected={isHere}
      data-cursor={isCursor || undefined}
      style={{ transform: `translateY(${startPx}px)` }}
    >
      {guest ? <Leaf id={id} guest={guest} pressed={props.pressed} /> : <Group {...props} />}
    </div>
  )
})

function Leaf({ id, guest, pressed }: Pick<RowProps, 'id' | 'pressed'> & { readonly guest: GuestView }) {
  const t = useText()
  return (
    <Link
      className={classes.leaf}
      to="/guests/$guest"
      params={{ guest: guest.name }}
      tabIndex={-1}
      onClick={() => pressed.current.leaf(id)}
    >
      <span className={classes.kind}>
        <Icon name={guest.kind} size={15} />
      </span>
      <span className={classes.name}>{guest.name}</span>
      <span title={t(`state.${guest.state}`)}>
        <StateDot tone={toneOf(guest.state)} />
      </span>
    </Link>
  )
}

function Group({ id, name: ownName = REST, host, count, isOpen = false, pressed }: RowProps) {
  const t = useText()
  const key = NAMES[id]
  const name = ownName === REST || key ? t(key ?? 'tree.untagged') : ownName
  const toggle = () => pressed.current.group(id, !isOpen)
  return (
    <>
      <button
        type="button"
        className={classes.toggle}
        onClick={toggle}
        tabIndex={-1}
        aria-label={isOpen ? t('tree.close', { name }) : t('tree.open', { name })}
      >
        <Icon name={isOpen ? 'down' : 'right'} size={14} />
      </button>
      {host ? (
        <Link className={classes.group} to="/hosts/$host" params={{ host: host.name }} tabIndex={-1}>
          <Icon name="host" size={15} />
          <span className={classes.name}>{name}</span>
          <span title={t(`state.${host.state}`)}>
            <StateDot tone={toneOf(host.state)} />
          </span>
        </Link>
      ) : (
        <button type="button" className={classes.group} onClick={toggle} tabIndex={-1}>
          {id.startsWith('tag/') ? <Icon name="tag" size={14} /> : null}
          <span className={classes.name}>{name}</span>
          <span className={classes.count}>{count}</span>
        </button>
      )}
    </>
  )
}

function rowId(id: string): string {
  return `tree-${id.replaceAll(/[^\w-]/g, '_')}`
}
