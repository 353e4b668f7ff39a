/** The cluster as a drawing: hosts with their guests and storage, the networks between them; each can be chosen to fail. */
import { useElementSize } from '@mantine/hooks'
import { useMemo, useState, type KeyboardEvent, type ReactNode } from 'react'
import type { FailingThing, ForesightView } from '@stead/api/foresight-view.ts'
import type { GuestView, HostView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { toneOf } from '../parts/state-badge.tsx'
import classes from './cluster-map.module.css'
import { addressOf, hostsDownBy, networksOf, thingAt } from './failing-thing.ts'
import { layOut, nextPoint, type Box, type Card, type MapLayout } from './map-layout.ts'
import { useThingName } from './thing-name.ts'

export interface ClusterMapProps {
  readonly hosts: readonly HostView[]
  readonly guests: readonly GuestView[]
  readonly chosen: FailingThing | undefined
  readonly outcome: ForesightView | undefined
  readonly onChoose: (thing: FailingThing) => void
}

const CHARACTER_PX = 6.6

export function ClusterMap({ hosts, guests, chosen, outcome, onChoose }: ClusterMapProps) {
  const t = useText()
  const { ref, width } = useElementSize()
  const map = useMemo(() => {
    const drawn = hosts.map((host) => ({
      name: host.name,
      networks: networksOf([host]),
      pools: host.pools.length,
      guests: guests.filter((guest) => guest.host === host.name).map(({ name }) => name),
      domain: domainOf(host),
    }))
    return layOut(drawn, networksOf(hosts), Math.max(300, width))
  }, [hosts, guests, width])
  const points = useMemo(() => pointsOf(map), [map])
  const [current, setCurrent] = useState<string>()
  const stop = current ?? (chosen && addressOf(chosen)) ?? points[0]?.address
  const stopHere = points.some(({ address }) => address === stop) ? stop : points[0]?.address

  const onKeyDown = (event: KeyboardEvent<SVGSVGElement>) => {
    const from = points.find(({ address }) => address === stopHere)
    const next = from && nextPoint(points, from, event.key)
    if (next) {
      setCurrent(next.address)
      event.currentTarget.querySelector<SVGElement>(`[data-thing="${CSS.escape(next.address)}"]`)?.focus()
    } else if ((event.key === 'Enter' || event.key === ' ') && stopHere !== undefined) {
      const thing = thingAt(stopHere)
      if (thing) onChoose(thing)
    } else return
    event.preventDefault()
  }

  const dead = hostsDownBy(chosen, hosts)
  const shared = { chosen, onChoose, stop: stopHere, onFocus: setCurrent }
  return (
    <div ref={ref} className={classes.scroll}>
      <svg
        className={classes.map}
        width={map.width}
        height={map.height}
        viewBox={`0 0 ${map.width} ${map.height}`}
        role="group"
        aria-label={t('whatIf.map')}
        onKeyDown={onKeyDown}
      >
        <defs>
          <marker id="arrow" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto">
            <path d="M0 0L10 5L0 10z" className={classes.arrowHead} />
          </marker>
        </defs>
        {map.frames.map((frame) => {
          const [domain = '', name = ''] = frame.domain.split(' ')
          const label = { x: frame.x + 10, y: frame.y - 13, width: frame.domain.length * CHARACTER_PX + 22, height: 24 }
          return (
            <g key={`${frame.domain}/${frame.x}/${frame.y}`}>
              <rect {...boxOf(frame)} rx={14} className={classes.frame} />
              <Choosable
                {...shared}
                thing={{ kind: 'domain-down', domain, name }}
                box={label}
                className={classes.label}
              >
                <rect {...boxOf(label)} rx={8} />
                <text x={label.x + label.width / 2} y={label.y + 16} textAnchor="middle">
                  {frame.domain}
                </text>
              </Choosable>
            </g>
          )
        })}
        {map.rails.map((rail) => {
          const thing: FailingThing = { kind: 'network-down', network: rail.network }
          return (
            <g key={rail.network} className={classes.rail} data-dead={isSame(thing, chosen) || undefined}>
              <path d={rail.path} className={classes.railLine} onClick={() => onChoose(thing)} />
              <Choosable {...shared} thing={thing} box={rail.label} className={classes.label}>
                <rect {...boxOf(rail.label)} rx={8} />
                <text x={rail.label.x + rail.label.width / 2} y={rail.label.y + 16} textAnchor="middle">
                  {rail.network.toUpperCase()}
                </text>
              </Choosable>
            </g>
          )
        })}
        {map.cards.map((card) => {
          const host = hosts.find(({ name }) => name === card.host)
          return host ? (
            <HostOnMap
              key={card.host}
              {...shared}
              {...{ card, host, guests, outcome }}
              hasNames={map.hasNames}
              isDead={dead.has(card.host)}
            />
          ) : null
        })}
        {outcome ? <Moves map={map} outcome={outcome} /> : null}
      </svg>
    </div>
  )
}

interface Choosing {
  readonly chosen: FailingThing | undefined
  readonly onChoose: (thing: FailingThing) => void
  /** The one thing of the map to which Tab leads; arrow keys go on from there. */
  readonly stop: string | undefined
  readonly onFocus: (address: string) => void
}

function Choosable(
  props: Choosing & { thing: FailingThing; box: Box; className: string | undefined; children: ReactNode },
) {
  const { thing, chosen, onChoose, stop, onFocus } = props
  const nameOf = useThingName()
  const address = addressOf(thing)
  return (
    <g
      role="button"
      className={`${classes.thing} ${props.className ?? ''}`}
      data-thing={address}
      tabIndex={address === stop ? 0 : -1}
      aria-pressed={isSame(thing, chosen)}
      aria-label={nameOf(thing)}
      onClick={() => onChoose(thing)}
      onFocus={() => onFocus(address)}
    >
      {props.children}
      <rect {...boxOf(props.box)} rx={8} className={classes.ring} />
    </g>
  )
}

function HostOnMap(
  props: Choosing & {
    card: Card
    host: HostView
    guests: readonly GuestView[]
    outcome: ForesightView | undefined
    hasNames: boolean
    isDead: boolean
  },
) {
  const { card, host, guests, outcome, hasNames, isDead, ...choosing } = props
  const t = useText()
  const fates = new Map(outcome?.guests.map((fate) => [fate.name, fate]))
  const isStorageDead = isDead || isSame({ kind: 'storage-down', host: host.name }, choosing.chosen)
  const cut = choosing.chosen?.kind === 'network-down' ? choosing.chosen : undefined
  return (
    <g data-dead={isDead || undefined} className={classes.host}>
      <rect {...boxOf(card)} rx={12} className={classes.card} data-state={host.state} />
      <Choosable
        {...choosing}
        thing={{ kind: 'host-down', hosts: [host.name] }}
        box={card.head}
        className={classes.head}
      >
        <rect {...boxOf(card.head)} rx={12} />
      </Choosable>
      <g className={classes.words} aria-hidden="true">
        <circle cx={card.x + 17} cy={card.y + 19} r={4.5} data-tone={isDead ? 'bad' : toneOf(host.state)} />
        <text x={card.x + 30} y={card.y + 24} className={classes.hostName}>
          {fitting(host.name, card.width - 40)}
        </text>
        {host.role === 'witness' ? (
          <text x={card.x + 12} y={card.y + 52} className={classes.dim}>
            {t('host.role.witness')}
          </text>
        ) : null}
      </g>
      {card.guests.map((place) => {
        const guest = guests.find(({ name }) => name === place.name)
        const fate = fates.get(place.name)
        const state = !fate ? 'safe' : fate.to === null ? 'stays' : fate.interruptions > 0 ? 'down' : 'moves'
        const text =
          fate && fate.to !== host.name ? `${place.name} → ${fate.to ?? t('foresight.staysDown')}` : place.name
        return (
          <g key={place.name} className={classes.guest} data-fate={state}>
            <title>{text}</title>
            <rect {...boxOf(place)} rx={hasNames ? 7 : 3} data-tone={guest && toneOf(guest.state)} />
            {hasNames ? (
              <text x={place.x + 9} y={place.y + 16}>
                {fitting(text, place.width - 14)}
              </text>
            ) : null}
          </g>
        )
      })}
      {card.storage ? (
        <>
          <Choosable
            {...choosing}
            thing={{ kind: 'storage-down', host: host.name }}
            box={card.storage}
            className={classes.storage}
          >
            <rect {...boxOf(card.storage)} rx={7} data-dead={isStorageDead || undefined} />
          </Choosable>
          <g className={classes.words} aria-hidden="true">
            {host.pools.map((pool, index) => {
              const y = (card.storage?.y ?? 0) + index * 24
              const share = pool.capacityBytes === 0 ? 0 : Math.min(1, pool.allocatedBytes / pool.capacityBytes)
              const width = card.width - 36
              return (
                <g key={pool.name}>
                  <text x={card.x + 18} y={y + 14}>
                    {fitting(pool.name, width)}
                  </text>
                  <rect x={card.x + 18} y={y + 18} width={width} height={3} rx={1.5} className={classes.rest} />
                  <rect x={card.x + 18} y={y + 18} width={width * share} height={3} rx={1.5} className={classes.part} />
                </g>
              )
            })}
          </g>
        </>
      ) : null}
      {card.ports.map(({ network, x, y, railY }) => {
        const thing: FailingThing = { kind: 'network-down', network, host: host.name }
        const box = { x: x - 12, y: y - 12, width: 24, height: 24 }
        const isCut = cut?.network === network && (cut.host === undefined || cut.host === host.name)
        const port = (
          <>
            <circle cx={x} cy={y} r={7} />
            {isCut ? (
              <path d={`M${x - 5} ${(y + railY) / 2 - 5}l10 10m0 -10l-10 10`} className={classes.cross} />
            ) : null}
          </>
        )
        return (
          <g key={network} data-cut={isCut || undefined} className={classes.cable}>
            <path d={`M${x} ${y}V${railY}`} />
            {host.role === 'witness' ? (
              port
            ) : (
              <Choosable {...choosing} thing={thing} box={box} className={classes.port}>
                {port}
              </Choosable>
            )}
          </g>
        )
      })}
    </g>
  )
}

/** Arrows from where guests run to where they return, one for all that go the same way. */
function Moves({ map, outcome }: { map: MapLayout; outcome: ForesightView }) {
  const ways = new Map<string, { from: Card; to: Card; count: number }>()
  for (const { from, to } of outcome.guests) {
    const [start, end] = [from, to].map((host) => map.cards.find((card) => card.host === host))
    if (!start || !end || start === end) continue
    const way = ways.get(`${from}/${to}`) ?? { from: start, to: end, count: 0 }
    ways.set(`${from}/${to}`, { ...way, count: way.count + 1 })
  }
  return (
    <g className={classes.moves} aria-hidden="true">
      {[...ways.values()].map(({ from, to, count }) => {
        const [x1, x2] = [from.x + from.width / 2, to.x + to.width / 2]
        const [y1, y2] = [from.y - 2, to.y - 4]
        const [midX, midY] = [(x1 + x2) / 2, Math.min(y1, y2) - 26]
        return (
          <g key={`${from.host}/${to.host}`}>
            <path d={`M${x1} ${y1}Q${midX} ${midY - 14} ${x2} ${y2}`} markerEnd="url(#arrow)" />
            <circle cx={midX} cy={(y1 + y2) / 4 + midY / 2 - 7} r={11} />
            <text x={midX} y={(y1 + y2) / 4 + midY / 2 - 3} textAnchor="middle">
              {count}
            </text>
          </g>
        )
      })}
    </g>
  )
}

/** A host may fail with several things; the map shows the first kind. */
function domainOf({ faultDomains }: HostView): string | undefined {
  const [first] = Object.entries(faultDomains).toSorted(([a], [b]) => a.localeCompare(b))
  return first && first.join(' ')
}

function pointsOf(map: MapLayout): readonly { readonly address: string; readonly x: number; readonly y: number }[] {
  const at = (thing: FailingThing, box: Box) => ({
    address: addressOf(thing),
    x: box.x + box.width / 2,
    y: box.y + box.height / 2,
  })
  return [
    ...map.cards.flatMap((card) => [
      at({ kind: 'host-down', hosts: [card.host] }, card.head),
      ...(card.storage
        ? [
            at({ kind: 'storage-down', host: card.host }, card.storage),
            ...card.ports.map(({ network, x, y }) => ({ address: `network:${network}@${card.host}`, x, y })),
          ]
        : []),
    ]),
    ...map.rails.map(({ network, label }) => at({ kind: 'network-down', network }, label)),
    ...map.frames.map((frame) => {
      const [domain = '', name = ''] = frame.domain.split(' ')
      return { address: addressOf({ kind: 'domain-down', domain, name }), x: frame.x + 40, y: frame.y }
    }),
  ]
}

function isSame(thing: FailingThing, other: FailingThing | undefined): boolean {
  return other !== undefined && addressOf(thing) === addressOf(other)
}

function boxOf({ x, y, width, height }: Box): Box {
  return { x, y, width, height }
}

function fitting(text: string, widthPx: number): string {
  const length = Math.max(3, Math.floor(widthPx / CHARACTER_PX))
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
