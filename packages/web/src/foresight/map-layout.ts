/**
 * Where everything stands on the map: hosts as cards in rows, and under each row the networks as rails to which cables
 * lead. Pure, in pixels; few guests have their names, many are squares.
 */
import type { NetworkRole } from '@stead/core/model/host.ts'

export interface MapHost {
  readonly name: string
  readonly networks: readonly NetworkRole[]
  readonly pools: number
  readonly guests: readonly string[]
  /** What it fails with, as `rack r1`; hosts of one stand together. */
  readonly domain: string | undefined
}

export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export interface Card extends Box {
  readonly host: string
  readonly head: Box
  readonly guests: readonly (Box & { readonly name: string })[]
  readonly storage: Box | undefined
  readonly ports: readonly {
    readonly network: NetworkRole
    readonly x: number
    readonly y: number
    readonly railY: number
  }[]
}

export interface Rail {
  readonly network: NetworkRole
  readonly label: Box
  /** One line under each row of hosts, and what joins them. */
  readonly path: string
}

export interface Frame extends Box {
  readonly domain: string
}

export interface MapLayout {
  readonly width: number
  readonly height: number
  readonly hasNames: boolean
  readonly cards: readonly Card[]
  readonly rails: readonly Rail[]
  readonly frames: readonly Frame[]
}

const GAP = 16
const CARD_MIN = 122
const CARD_MAX = 300
const PADDING = 10
const HEAD = 38
const CHIP = 24
const CHIP_GAP = 4
const SQUARE = 11
const SQUARE_PITCH = 15
const POOL = 24
/** Above a row: arrows of guests that move, labels of fault domains. */
const OVER_ROW = 44
const PORTS = 24
const RAIL_PITCH = 32
const LABEL = { width: 52, height: 24 }
const UNDER_ROW = 18
const FRAME_OUTSET = 6
/** So many guests of one host are shown by their names. */
const NAMED_MAX = 8

export function layOut(hosts: readonly MapHost[], networks: readonly NetworkRole[], width: number): MapLayout {
  const left = networks.length === 0 ? FRAME_OUTSET : LABEL.width + GAP
  const room = Math.max(CARD_MIN, width - left - FRAME_OUTSET)
  const columns = Math.max(1, Math.min(hosts.length, Math.floor((room + GAP) / (CARD_MIN + GAP))))
  const cardWidth = Math.min(CARD_MAX, Math.floor((room + GAP) / columns) - GAP)
  const hasNames = hosts.every(({ guests }) => guests.length <= NAMED_MAX)
  const sorted = hosts.toSorted((a, b) => (a.domain ?? '\uffff').localeCompare(b.domain ?? '\uffff'))
  const cards: Card[] = []
  const frames: Frame[] = []
  const railYs = new Map<NetworkRole, number[]>(networks.map((network) => [network, []]))
  let y = 0
  for (let begin = 0; begin < sorted.length; begin += columns) {
    const row = sorted.slice(begin, begin + columns)
    const height = Math.max(...row.map((host) => cardHeight(host, cardWidth, hasNames)))
    y += OVER_ROW
    const rails = new Map(
      networks.map((network, index) => [network, y + height + PORTS / 2 + RAIL_PITCH * (index + 1)]),
    )
    for (const [network, railY] of rails) railYs.get(network)?.push(railY)
    const inRow = row.map((host, column) =>
      cardOf(
        host,
        { x: left + column * (cardWidth + GAP), y, width: cardWidth, height },
        { rails, networks, hasNames },
      ),
    )
    cards.push(...inRow)
    frames.push(...framesOf(row, inRow))
    y += height + PORTS / 2 + RAIL_PITCH * networks.length + UNDER_ROW
  }
  const right = Math.max(0, ...cards.map((card) => card.x + card.width + FRAME_OUTSET))
  return {
    width: right,
    height: y,
    hasNames,
    cards,
    frames,
    rails: networks.map((network, index) => railOf(network, railYs.get(network) ?? [], { index, right })),
  }
}

function guestsHeight(count: number, width: number, hasNames: boolean): number {
  if (hasNames) return count * (CHIP + CHIP_GAP)
  return Math.ceil(count / squaresInLine(width)) * SQUARE_PITCH + CHIP_GAP
}

function squaresInLine(width: number): number {
  return Math.max(1, Math.floor((width - 2 * PADDING) / SQUARE_PITCH))
}

function cardHeight(host: MapHost, width: number, hasNames: boolean): number {
  const storage = host.pools === 0 ? 0 : host.pools * POOL + PADDING
  return HEAD + guestsHeight(host.guests.length, width, hasNames) + storage + PADDING + PORTS / 2
}

function cardOf(
  host: MapHost,
  box: Box,
  {
    rails,
    networks,
    hasNames,
  }: { rails: ReadonlyMap<NetworkRole, number>; networks: readonly NetworkRole[]; hasNames: boolean },
): Card {
  const inner = { x: box.x + PADDING, width: box.width - 2 * PADDING }
  const inLine = squaresInLine(box.width)
  const bottom = box.y + box.height
  return {
    ...box,
    host: host.name,
    head: { x: box.x, y: box.y, width: box.width, height: HEAD },
    guests: host.guests.map((name, index) =>
      hasNames
        ? { name, ...inner, y: box.y + HEAD + index * (CHIP + CHIP_GAP), height: CHIP }
        : {
            ...{ name, width: SQUARE, height: SQUARE },
            x: inner.x + (index % inLine) * SQUARE_PITCH,
            y: box.y + HEAD + Math.floor(index / inLine) * SQUARE_PITCH,
          },
    ),
    storage:
      host.pools === 0
        ? undefined
        : { ...inner, y: bottom - PORTS / 2 - PADDING - host.pools * POOL, height: host.pools * POOL },
    ports: host.networks.map((network) => ({
      network,
      x: box.x + (box.width * (networks.indexOf(network) + 1)) / (networks.length + 1),
      y: bottom,
      railY: rails.get(network) ?? bottom,
    })),
  }
}

function railOf(network: NetworkRole, ys: readonly number[], { index, right }: { index: number; right: number }): Rail {
  const [first = 0] = ys
  // The trunks that join the rows stand side by side, left of the hosts.
  const trunkX = LABEL.width + 4 + index * 5
  const lines = ys.map((y) => `M${trunkX} ${y}H${right}`)
  const trunk = ys.length > 1 ? [`M${trunkX} ${first}V${ys.at(-1)}`] : []
  return {
    network,
    label: { x: 0, y: first - LABEL.height / 2, ...LABEL },
    path: [`M${LABEL.width / 2} ${first}H${trunkX}`, ...lines, ...trunk].join(''),
  }
}

/** Around neighbours that fail together. */
function framesOf(row: readonly MapHost[], cards: readonly Card[]): Frame[] {
  const frames: Frame[] = []
  for (const [index, { domain }] of row.entries()) {
    const card = cards[index]
    if (domain === undefined || !card) continue
    const before = frames.at(-1)
    const isNext = before?.domain === domain && row[index - 1]?.domain === domain
    const box = {
      x: card.x - FRAME_OUTSET,
      y: card.y - 8,
      width: card.width + 2 * FRAME_OUTSET,
      height: card.height + 14,
    }
    if (isNext) frames[frames.length - 1] = { ...before, width: box.x + box.width - before.x }
    else frames.push({ domain, ...box })
  }
  return frames
}

const DIRECTIONS = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowDown: [0, 1],
  ArrowUp: [0, -1],
} as const

/** The nearest of `points` in the direction of an arrow key; what lies aside counts as twice as far. */
export function nextPoint<Point extends { readonly x: number; readonly y: number }>(
  points: readonly Point[],
  from: Point,
  key: string,
): Point | undefined {
  if (!(key in DIRECTIONS)) return undefined
  const [dx, dy] = DIRECTIONS[key as keyof typeof DIRECTIONS]
  const far = (to: Point) => {
    const [x, y] = [to.x - from.x, to.y - from.y]
    const along = x * dx + y * dy
    return along > 0 ? along + 2 * Math.abs(x * dy + y * dx) : Infinity
  }
  return points.filter((point) => far(point) < Infinity).toSorted((a, b) => far(a) - far(b))[0]
}
