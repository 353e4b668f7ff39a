import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layOut, nextPoint, type Box, type MapHost } from './map-layout.ts'

const NETWORKS = ['lan', 'san', 'ran'] as const
const host = (index: number, guests: number, domain?: string): MapHost => ({
  name: `h${index}`,
  networks: NETWORKS,
  pools: 1,
  guests: Array.from({ length: guests }, (_, guest) => `g${index}-${guest}`),
  domain,
})
const many = (count: number, guests: number) => Array.from({ length: count }, (_, index) => host(index + 1, guests))
const meet = (a: Box, b: Box) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
const within = (inner: Box, outer: Box) =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height

for (const [what, hosts, width] of [
  ['three hosts with names', many(3, 4), 900],
  ['30 hosts with 33 guests each', many(30, 33), 900],
  ['a phone', many(4, 6), 340],
] as const) {
  test(`${what}: nothing stands over another thing, and everything within the map`, () => {
    const map = layOut(hosts, NETWORKS, width)
    assert.equal(map.cards.length, hosts.length)
    assert.ok(map.width <= Math.max(width, 340))
    for (const [index, card] of map.cards.entries()) {
      assert.ok(within(card, { x: 0, y: 0, width: map.width, height: map.height }))
      for (const other of map.cards.slice(index + 1)) assert.ok(!meet(card, other))
      for (const [place, guest] of card.guests.entries()) {
        assert.ok(within(guest, card))
        assert.ok(card.storage && !meet(guest, card.storage) && !meet(guest, card.head))
        for (const next of card.guests.slice(place + 1)) assert.ok(!meet(guest, next))
      }
      for (const port of card.ports) assert.ok(port.railY > port.y && port.railY < map.height)
    }
    for (const rail of map.rails) for (const card of map.cards) assert.ok(!meet(rail.label, card))
  })
}

test('few guests have names, many are squares', () => {
  assert.equal(layOut(many(3, 8), NETWORKS, 900).hasNames, true)
  assert.equal(layOut(many(3, 9), NETWORKS, 900).hasNames, false)
})

test('hosts of one fault domain stand in one frame', () => {
  const { frames, cards } = layOut(
    [host(1, 1, 'rack r1'), host(2, 1, 'rack r2'), host(3, 1, 'rack r1'), host(4, 1)],
    NETWORKS,
    900,
  )
  assert.deepEqual(
    frames.map((frame) => [frame.domain, cards.filter((card) => meet(frame, card)).map((card) => card.host)]),
    [
      ['rack r1', ['h1', 'h3']],
      ['rack r2', ['h2']],
    ],
  )
})

test('an arrow key goes to the nearest in its direction', () => {
  const [a, b, c, d] = [
    { x: 0, y: 0 },
    { x: 100, y: 10 },
    { x: 30, y: 90 },
    { x: 300, y: 0 },
  ] as const
  const points = [a, b, c, d]
  assert.equal(nextPoint(points, a, 'ArrowRight'), b)
  assert.equal(nextPoint(points, b, 'ArrowRight'), d)
  assert.equal(nextPoint(points, a, 'ArrowDown'), c)
  assert.equal(nextPoint(points, a, 'ArrowLeft'), undefined)
  assert.equal(nextPoint(points, a, 'Enter'), undefined)
})
